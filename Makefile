# happysock: make demo, make test, make install. `make help` lists what there is.

CARGO ?= cargo
CC ?= cc
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
DATADIR ?= $(PREFIX)/share
BINDIR ?= $(PREFIX)/bin
INSTALL ?= install
# What is installed is stripped of what only a debugger reads. STRIP= leaves it, for packages that keep it in a file beside.
STRIP ?= strip
# For `make demo` and the connect program: make connect ARGS="HOST PORT --json".
ARGS ?=

VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
# As in build.rs: the number in the SONAME is that of the ABI.
SOVERSION := 0

# The oldest Rust that compiles it.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"$$/\1/p' Cargo.toml)

SOURCES := Cargo.toml Cargo.lock build.rs $(shell find src -name '*.rs')
# Linked from the archive, with versions for its symbols; cargo has another of its own in target/release.
SHARED := target/shared/libhappysock.so
STATIC := target/release/libhappysock.a
# What a program needs besides the archive.
NATIVE_LIBS := target/release/native-static-libs

IS_ROOT := $(filter 0,$(shell id -u))

# The suites of `make test`, in this order; each is a target suite-NAME. Fragments add theirs. The campaigns, which compute
# for minutes, come last: nothing runs beside a suite that waits for clocks.
SUITES := format scripts clippy msrv rust c c-release memory install abi demo
CAMPAIGNS :=
# The groups of scripts/install-packages that `make test` needs; fragments add theirs. EXTRA_PACKAGES is what the rest needs.
PACKAGES := build demo test
EXTRA_PACKAGES := bench

# Every target that is for people; scripts/test-makefile holds that none is left out. Those named suite-*, run-* and
# *-programs are the makefiles' own.
.PHONY: help
help:
	@echo "To try it"
	@echo "  make demo               build, start a dual-stack server on loopback, race to it by name, print the timeline"
	@echo "  make connect ARGS=...   the same program for real use: make connect ARGS=\"example.org 80\""
	@echo "  make tool               the command happy, into target/release: target/release/happy --help"
	@echo "  make preload            the library with which \`happy run' starts programs that cannot be changed; a part of make tool"
	@echo "To use it"
	@echo "  make build              the libraries, in target/shared and target/release"
	@echo "  make install            what was built; PREFIX=$(PREFIX) LIBDIR= INCLUDEDIR= DATADIR= BINDIR= DESTDIR= STRIP="
	@echo "  make uninstall          removes what install installed, with the same variables"
	@echo "  make manual             man pages and HTML, in target/manual; install installs them where they were built"
	@echo "To work on it"
	@echo "  make deps               install every Debian package that any of this uses; as root, or with sudo"
	@echo "  make check              between two edits: format, clippy, the Rust and the C tests"
	@echo "  make test               every suite; SUITES=\"rust c\" and CAMPAIGNS= choose"
	@echo "  make header             rewrite include/happysock.h from the source"
	@echo "  make abi                rewrite include/happysock.abi, the description of the ABI that tests compare with"
	@echo "  make pictures           record the race that the manual shows and draw its pictures anew"
	@echo "  make clean              remove target/"
	@echo "Tests in their full forms"
	@echo "  make test-sanitizers    the C tests with the address and thread sanitizers (nightly Rust)"
	@echo "  make test-faults        failing system calls, signals, limits, forks, cancel storms: the short forms"
	@echo "  make faults             the full forms"
	@echo "  make cancel-storm       lookups cancelled from every side, with sanitizers (nightly Rust); CANCELS= SEED="
	@echo "  make soak               many connects for MINUTES=60, with descriptors, threads and memory watched"
	@echo "  make models             the handoff between threads in every order that loom finds"
	@echo "  make fuzz               each fuzz target for SECONDS=60 (nightly Rust); FUZZ_TARGETS="
	@echo "  make mutants            mutation tests of the state machine, or ROOM=dns; SHARD=0/40 tries a fortieth"
	@echo "  make dns-differential   lookups beside getaddrinfo's in random systems; CASES= SEED= CHECKS="
	@echo "  make order-differential the order of addresses beside getaddrinfo's in random systems; CASES= SEED="
	@echo "Packages and releases"
	@echo "  make dist               a release, into target/dist: source, crates, crate, binaries, SBOM, checksums; made twice and compared"
	@echo "  make deny               licences, sources and advisories of the crates that are shipped (cargo-deny)"
	@echo "  make debian-package     Debian's packages, into target/debian, with the Rust that is here"
	@echo "  make debian-test        the same in a Debian of their own (debootstrap): built, upgraded, used, purged; as root"
	@echo "  make rpm-package        packages for RPM, into target/rpm: built, installed into a directory, used, removed"
	@echo "Other people's programs"
	@echo "  make try-patches        wget, tinyproxy and hiredis from Debian's sources with the patches of docs/patches, measured"
	@echo "Measurements"
	@echo "  make lab                how it connects on late, lossy and broken networks; PEERS=1 measures others beside it"
	@echo "  make lab-short          a shorter form of it"
	@echo "  make lab-delays         the fixed and the fitting delay between attempts, over round trips and losses"
	@echo "  make bench              what a connect costs next to plain system calls"
	@echo "  make bench-check        the same, judged"
	@echo "  make bench-history      what a history costs a connect: with one and without, by turns"
	@echo "  make bench-multi        many connects at once, beside libcurl and hyper-util"
	@echo "  make bench-dns          many names by DNS, beside c-ares (CARES= another than the system's) and hickory"
	@echo "  make bench-ruby         TCPSocket.new and Socket.tcp beside stock Ruby's, for each of RUBIES="
	@echo "  make ruby-measure       what a name server that hangs costs a Ruby program: stock and ours"
	@echo "  make bench-python       Python's connects beside asyncio's own happy_eyeballs_delay"
	@echo "Other languages"
	@echo "  make bindings           tests of the bindings; LANGUAGES=\"python rust node go lua\" chooses"
	@echo "Ruby (RUBY= RUBY_SRC=)"
	@echo "  make cruby              CRuby's socket.so with our file in the place of ipsocket.c"
	@echo "  make cruby-test         CRuby's own tests with it"
	@echo "  make cruby-test-socks   SOCKSSocket through a proxy, with the drop-in"
	@echo "  make cruby-test-users   CRuby's tests of fibers, net and open-uri, and ruby/spec's of sockets and net/http; RUBY_SPEC="
	@echo "  make cruby-test-stock   the same tests without it, to compare"
	@echo "  make ruby-preload       the library for LD_PRELOAD on a stock Ruby"
	@echo "  make ruby-test          the tests of what Ruby programs get"
	@echo "  make gem                the gem that builds the library when it is installed"
	@echo "  make gem-test           installs it into a directory of its own and tests it"
	@echo "  make gem-native         the precompiled gem, for each Ruby of RUBIES=\"ruby ...\""
	@echo "  make gem-native-test    installs it where there is no compiler, and tries it"

# ---- Build -----------------------------------------------------------------------------------------------------------

.PHONY: build deps header
build: $(SHARED) $(STATIC) $(NATIVE_LIBS)

# cargo leaves files alone that would not change, hence the touch.
$(STATIC): $(SOURCES)
	@command -v $(CARGO) >/dev/null || { echo "make: $(CARGO) was not found; install Rust $(MSRV) or newer" >&2; exit 1; }
	$(CARGO) build --release --lib
	@touch $(STATIC)

$(SHARED): $(STATIC) include/happysock.map scripts/link-shared
	@mkdir -p $(@D)
	CC="$(CC)" scripts/link-shared "$(CURDIR)/$(STATIC)" "$(CURDIR)/$(SHARED)"

# Asked here, and not by `make install`: root may have no Rust.
$(NATIVE_LIBS): scripts/native-static-libs $(SHARED)
	@scripts/native-static-libs >$@.partial
	@mv $@.partial $@

deps:
	@scripts/install-packages $(sort $(PACKAGES) $(EXTRA_PACKAGES))

header:
	HAPPYSOCK_WRITE_HEADER=1 $(CARGO) test --quiet --test header the_committed_header

# ---- Install ---------------------------------------------------------------------------------------------------------

SHARED_NAME := libhappysock.so.$(VERSION)

# Builds nothing: it is run by root, who may have no Rust and whose files would stand in the way of the next build.
.PHONY: install uninstall
install:
	@for file in $(SHARED) $(STATIC) $(NATIVE_LIBS); do [ -s $$file ] || { \
	    echo "make install: $$file is not there; run \`make build' first, as the user who has Rust" >&2; exit 1; }; done
	$(INSTALL) -d "$(DESTDIR)$(INCLUDEDIR)" "$(DESTDIR)$(LIBDIR)" "$(DESTDIR)$(PKGCONFIGDIR)" "$(DESTDIR)$(DATADIR)/happysock"
	$(INSTALL) -m 644 include/happysock.h "$(DESTDIR)$(INCLUDEDIR)/happysock.h"
	$(INSTALL) -m 644 $(SHARED) "$(DESTDIR)$(LIBDIR)/$(SHARED_NAME)"
	$(INSTALL) -m 644 $(STATIC) "$(DESTDIR)$(LIBDIR)/libhappysock.a"
ifneq ($(STRIP),)
	$(STRIP) --strip-unneeded "$(DESTDIR)$(LIBDIR)/$(SHARED_NAME)"
	@# Rust keeps its intermediate code in the objects of an archive, where it is two thirds of them.
	$(STRIP) --strip-debug --remove-section=.llvmbc --remove-section=.llvmcmd --enable-deterministic-archives \
	    "$(DESTDIR)$(LIBDIR)/libhappysock.a"
endif
	ln -sf $(SHARED_NAME) "$(DESTDIR)$(LIBDIR)/libhappysock.so.$(SOVERSION)"
	ln -sf libhappysock.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)/libhappysock.so"
	$(INSTALL) -m 644 c_tests/valgrind.supp c_tests/thread_sanitizer.supp "$(DESTDIR)$(DATADIR)/happysock"
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' \
	    -e 's|@VERSION@|$(VERSION)|' -e "s|@STATIC_LIBS@|$$(cat $(NATIVE_LIBS))|" \
	    -e 's|^\([a-z]*dir=\)$(PREFIX)/|\1$${prefix}/|' happysock.pc.in >"$(DESTDIR)$(PKGCONFIGDIR)/happysock.pc"
	chmod 644 "$(DESTDIR)$(PKGCONFIGDIR)/happysock.pc"
	@$(MAKE) -s --no-print-directory run-install-cmake
	@$(MAKE) -s --no-print-directory run-install-manual
	@# The command is there where `make tool` has built it.
	@if [ -x "$(HAPPY)" ]; then $(MAKE) -s run-install-happy; fi
	@# On the running system the linker's cache has to learn of it; in a staging directory that is the package's business.
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

uninstall:
	@$(MAKE) -s --no-print-directory run-uninstall-manual
	rm -f "$(DESTDIR)$(INCLUDEDIR)/happysock.h" \
	      "$(DESTDIR)$(LIBDIR)/$(SHARED_NAME)" \
	      "$(DESTDIR)$(LIBDIR)/libhappysock.so.$(SOVERSION)" \
	      "$(DESTDIR)$(LIBDIR)/libhappysock.so" \
	      "$(DESTDIR)$(LIBDIR)/libhappysock.a" \
	      "$(DESTDIR)$(DATADIR)/happysock/valgrind.supp" \
	      "$(DESTDIR)$(DATADIR)/happysock/thread_sanitizer.supp" \
	      "$(DESTDIR)$(PKGCONFIGDIR)/happysock.pc"
	@$(MAKE) -s --no-print-directory run-uninstall-cmake
	@$(MAKE) -s run-uninstall-happy
	@if [ -d "$(DESTDIR)$(DATADIR)/happysock" ]; then rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(DATADIR)/happysock"; fi

# ---- Tests -----------------------------------------------------------------------------------------------------------

# How the command and the lab get into target/debug. Suites have both built with all tests: which features crates have depends on
# what is built together, and each choice of it would compile them anew.
BUILD_HAPPY ?= $(CARGO) build --quiet --package happysock-cli
BUILD_LAB ?= $(CARGO) build --quiet --package happysock-lab --bins --examples
BUILD_TESTS = MAKEFLAGS= $(CARGO) test --quiet --workspace --no-run
suite-%: export BUILD_HAPPY = $(BUILD_TESTS)
suite-%: export BUILD_LAB = $(BUILD_TESTS)

.PHONY: test check clean
test:
	@scripts/install-packages $(PACKAGES)
	@MAKE="$(MAKE)" scripts/run-suites $(SUITES) $(CAMPAIGNS)

check:
	@scripts/install-packages $(PACKAGES)
	@MAKE="$(MAKE)" scripts/run-suites format clippy rust c

.PHONY: suite-format suite-scripts suite-clippy suite-msrv suite-rust suite-install suite-demo
suite-format:
	$(CARGO) fmt --all --check

# The scripts themselves, and what the makefiles promise.
suite-scripts:
	@MAKE="$(MAKE)" scripts/test-scripts

# The library also as programs get it, without what the tests turn on, and the programs with that; and the tests also without the
# exports.
suite-clippy:
	$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings
	$(CARGO) clippy --quiet --package happysock-cli --package happysock-lab -- -D warnings
	$(CARGO) clippy --quiet --all-targets --no-default-features -- -D warnings
	@set -e; for features in "" --no-default-features "--no-default-features --features internals" --all-features; do \
	    echo "the library with: $${features:-its default features}"; $(CARGO) clippy --quiet --lib $$features -- -D warnings; done
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --lib --no-deps

# The oldest Rust that Cargo.toml promises compiles it. Asked of rustup by name: cargo +VERSION could fetch it. That its standard
# library has all that is used, the lint incompatible_msrv of clippy holds in any case.
suite-msrv:
	@if rustup toolchain list 2>/dev/null | grep -q '^$(MSRV)[.-]'; then \
	    $(CARGO) +$(MSRV) check --quiet --lib --target-dir target/msrv && echo "1 passed, 0 failed"; \
	else \
	    echo "skipped: compiling with Rust $(MSRV): it is not here (rustup toolchain install $(MSRV))"; \
	fi

# The lab's tests watch the C program connect. What most of these tests do is wait: what is built is built first, three parts of them
# then run side by side.
RUST_TEST = env MAKEFLAGS= $(CARGO) test --quiet --workspace --no-fail-fast
RUST_TESTS := $(filter-out resolved,$(patsubst tests/%.rs,%,$(wildcard tests/*.rs)) $(patsubst tests/%/main.rs,%,$(wildcard tests/*/main.rs)))
suite-rust:
	@$(MAKE) -s PROFILE=debug target/c/debug/connect target/c/debug/ask
	$(BUILD_TESTS)
	@$(MAKE) -s -k -j3 --output-sync=target run-rust-lab run-rust-lookups run-rust-rest

.PHONY: run-rust-lab run-rust-lookups run-rust-rest
# They make networks in the process that they run in, which has threads by then and can get no user namespace any more: whoever is not root
# is made root of one before.
run-rust-lab:
	@scripts/has-tun "the lab's own tests" || exit 0; $(if $(IS_ROOT),,unshare --user --map-root-user) \
	    $(RUST_TEST) --bin lab $(patsubst lab/tests/%.rs,--test %,$(wildcard lab/tests/*.rs)) -- --test-threads=6
run-rust-lookups:
	@$(RUST_TEST) $(patsubst %,--test %,$(filter lookup_%,$(RUST_TESTS)))
run-rust-rest:
	@$(RUST_TEST) --lib $(patsubst %,--test %,$(filter-out lookup_%,$(RUST_TESTS)))
	@$(RUST_TEST) --doc

suite-install: build
	scripts/test-install

suite-demo:
	@$(MAKE) -s PROFILE=release target/c/release/connect target/c/release/greeter
	@$(BUILD_HAPPY)
	@scripts/test-demo

# ---- The ABI ---------------------------------------------------------------------------------------------------------
# include/happysock.abi describes what programs are compiled and linked against: scripts/abi-description says how.

.PHONY: abi suite-abi
abi: $(SHARED)
	@scripts/abi-description $(SHARED) include >target/happysock.abi
	@mv target/happysock.abi include/happysock.abi

suite-abi: $(SHARED)
	@scripts/test-abi $(SHARED)

clean:
	rm -rf target

include c_tests/c_tests.mk
-include c_tests/faults.mk
-include tests/campaigns.mk
-include c_tests/multi.mk
-include tests/resolved.mk
-include lab/lab.mk
include packaging/packaging.mk
-include preload/preload.mk
-include tool/tool.mk
-include ruby_ext/ruby.mk
-include bindings/bindings.mk
-include $(wildcard benches/*.mk)
-include docs/manual.mk
-include docs/patches/patches.mk
