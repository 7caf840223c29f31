# happysock: make demo, make test, make install. `make help` lists what there is.

CARGO ?= cargo
CC ?= cc
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
INSTALL ?= install
# For `make demo` and the connect program: make connect ARGS="HOST PORT --json".
ARGS ?=

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
# As in build.rs: the number in the SONAME is that of the ABI.
SOVERSION := 0

SOURCES := Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')
SHARED := target/release/libhappysock.so
STATIC := target/release/libhappysock.a

# The suites of `make test`, in this order; each is a target suite-NAME. Fragments add theirs.
SUITES := format clippy rust c c-release memory install demo
PACKAGES := build demo test

.PHONY: help
help:
	@echo "make demo               build, start a dual-stack server on loopback, race to it by name, print the timeline"
	@echo "make connect ARGS=...   the same program for real use: make connect ARGS=\"example.org 80\""
	@echo "make test               every test; installs the packages it needs"
	@echo "make test-sanitizers    the C tests with the address and thread sanitizers (nightly Rust)"
	@echo "make test-faults        failing system calls, signals, limits, forks, cancel storms: the short forms"
	@echo "make faults             the full forms; cancel-storm CANCELS=, soak MINUTES=, fuzz SECONDS=, models, mutants likewise"
	@echo "make lab                how it connects on late, lossy and broken networks; PEERS=1 measures others beside it"
	@echo "make dns-differential   CASES=$(CASES): answers beside libc's, in random systems with name servers that may do anything"
	@echo "make bench              what a connect costs next to plain system calls; bench-check judges it"
	@echo "make build              the libraries, in target/release"
	@echo "make header             rewrite include/happysock.h from the source"
	@echo "make install            PREFIX=$(PREFIX) LIBDIR= INCLUDEDIR= DESTDIR=; make uninstall undoes it"

# ---- Build -----------------------------------------------------------------------------------------------------------

.PHONY: build packages header
build: $(SHARED) $(STATIC)

# One run of cargo makes both. It leaves files alone that would not change, hence the touch.
$(SHARED): $(SOURCES)
	@command -v $(CARGO) >/dev/null || { echo "make: $(CARGO) was not found; install Rust 1.85 or newer" >&2; exit 1; }
	$(CARGO) build --release --lib
	@touch $(SHARED) $(STATIC)

$(STATIC): $(SHARED)

packages:
	@scripts/install-packages $(PACKAGES)

header:
	HAPPYSOCK_WRITE_HEADER=1 $(CARGO) test --quiet --test header the_committed_header

# ---- Install ---------------------------------------------------------------------------------------------------------

SHARED_NAME := libhappysock.so.$(VERSION)

target/happysock.pc: happysock.pc.in Makefile Cargo.toml FORCE
	@mkdir -p target
	@sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	     -e 's|@VERSION@|$(VERSION)|' -e "s|@STATIC_LIBS@|$$(scripts/native-static-libs)|" \
	     -e 's|^\([a-z]*dir=\)$(PREFIX)/|\1$${prefix}/|' happysock.pc.in > $@

.PHONY: install uninstall FORCE
install: $(SHARED) $(STATIC) target/happysock.pc
	$(INSTALL) -d "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)" "$(DESTDIR)$(PKGCONFIGDIR)"
	$(INSTALL) -m 644 include/happysock.h "$(DESTDIR)$(INCLUDEDIR)/happysock.h"
	$(INSTALL) -m 644 $(SHARED) "$(DESTDIR)$(LIBDIR)/$(SHARED_NAME)"
	ln -sf $(SHARED_NAME) "$(DESTDIR)$(LIBDIR)/libhappysock.so.$(SOVERSION)"
	ln -sf libhappysock.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)/libhappysock.so"
	$(INSTALL) -m 644 $(STATIC) "$(DESTDIR)$(LIBDIR)/libhappysock.a"
	$(INSTALL) -m 644 target/happysock.pc "$(DESTDIR)$(PKGCONFIGDIR)/happysock.pc"
	@# On the running system the linker's cache has to learn of it; in a staging directory that is the package's business.
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

uninstall:
	rm -f "$(DESTDIR)$(INCLUDEDIR)/happysock.h" \
	      "$(DESTDIR)$(LIBDIR)/$(SHARED_NAME)" \
	      "$(DESTDIR)$(LIBDIR)/libhappysock.so.$(SOVERSION)" \
	      "$(DESTDIR)$(LIBDIR)/libhappysock.so" \
	      "$(DESTDIR)$(LIBDIR)/libhappysock.a" \
	      "$(DESTDIR)$(PKGCONFIGDIR)/happysock.pc"

# ---- Tests -----------------------------------------------------------------------------------------------------------

.PHONY: test clean
test:
	@scripts/install-packages $(PACKAGES)
	@MAKE="$(MAKE)" scripts/run-suites $(SUITES) -- $(CAMPAIGNS)

.PHONY: suite-format suite-clippy suite-rust suite-install suite-demo
suite-format:
	$(CARGO) fmt --all --check

suite-clippy:
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

# The lab's tests watch C programs connect and ask.
suite-rust:
	@$(MAKE) -s PROFILE=debug target/c/debug/connect target/c/debug/ask
	$(CARGO) test --quiet --workspace --no-fail-fast

suite-install: $(SHARED) $(STATIC)
	scripts/test-install

suite-demo:
	@$(MAKE) -s PROFILE=release target/c/release/connect target/c/release/greeter
	@scripts/test-demo

clean:
	rm -rf target

FORCE:

include c_tests/c_tests.mk
-include c_tests/faults.mk
-include tests/campaigns.mk
-include c_tests/multi.mk
-include lab/lab.mk
-include ruby_ext/ruby.mk
-include $(wildcard benches/*.mk)
