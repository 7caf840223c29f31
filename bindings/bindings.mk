# Other languages: each is built as its users build it, and tested on names that are half dead, silent or unknown, with its
# real runtime. All of it is built under target/bindings/.

LANGUAGES ?= python rust node go lua
# Debian's, which the packages of the group `bindings` are for.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)

BINDINGS := $(CURDIR)/target/bindings
# A name server that is silent is waited for longer than AT_ONCE of the tests.
BINDINGS_NETWORK := env HAPPYSOCK_TEST_SILENCE=30 $(CURDIR)/scripts/in-test-network
BINDINGS_PYTHON := $(BINDINGS)/python/bin/python
BINDINGS_ARCHIVE := $(CURDIR)/$(STATIC)

PACKAGES += bindings
SUITES += bindings

.PHONY: bindings suite-bindings bench-python
bindings:
	@scripts/install-packages build bindings
	@$(MAKE) -s suite-bindings

# Two at a time: most of what they do is wait, each in a network of its own.
suite-bindings: $(STATIC) $(NATIVE_LIBS)
	@$(MAKE) -s -k -j2 --output-sync=target $(LANGUAGES:%=run-bindings-%)

# ---- Python ----------------------------------------------------------------------------------------------------------
# PYTHON=/opt/python3.13/bin/python3 takes another one; it needs cffi, setuptools and wheel.

.PHONY: run-bindings-python-install run-bindings-python
run-bindings-python-install: $(STATIC)
	@mkdir -p $(BINDINGS)
	@$(PYTHON) -m venv --clear --without-pip --system-site-packages $(BINDINGS)/python
	@HAPPYSOCK_ARCHIVE=$(BINDINGS_ARCHIVE) $(PYTHON) -m pip --python $(BINDINGS_PYTHON) install --quiet --no-index --no-deps \
	    --no-build-isolation --disable-pip-version-check bindings/python

# mypy reads what is installed here: trio and anyio of Debian 12 have no types for it. That anyio is too old for what is shown, and
# a newer one comes into the environment of the tests, where it can be had.
run-bindings-python: run-bindings-python-install
	@if command -v mypy >/dev/null; then \
	    (cd bindings/python && mypy --strict --cache-dir $(BINDINGS)/mypy -m happysock -m happysock.aio); \
	else echo "skipped: types of the Python binding: mypy is not installed"; fi
	@$(BINDINGS_PYTHON) -c 'import anyio.abc; anyio.abc.SocketStream.from_socket' 2>/dev/null || \
	    { rm -rf $(BINDINGS)/wheels && timeout 10 $(PYTHON) -m pip --python $(BINDINGS_PYTHON) download --quiet --retries 0 \
	        --disable-pip-version-check --only-binary :all: --dest $(BINDINGS)/wheels 'anyio>=4.12' >$(BINDINGS)/anyio.log 2>&1 && \
	    $(PYTHON) -m pip --python $(BINDINGS_PYTHON) install --quiet --no-index --disable-pip-version-check $(BINDINGS)/wheels/*.whl; } || \
	    echo "skipped: a newer anyio: pip cannot fetch it within 10 s"
	@$(BINDINGS_NETWORK) $(BINDINGS_PYTHON) bindings/python/tests

bench-python:
	@scripts/install-packages build bindings
	@$(MAKE) -s run-bindings-python-install
	@$(BINDINGS_NETWORK) $(BINDINGS_PYTHON) benches/python_connect.py $(BENCH_ARGS)

# ---- Rust ------------------------------------------------------------------------------------------------------------

.PHONY: run-bindings-rust
run-bindings-rust:
	@MAKEFLAGS= $(CARGO) test --quiet --no-run --manifest-path bindings/rust/Cargo.toml --target-dir $(BINDINGS)/rust
	@MAKEFLAGS= $(BINDINGS_NETWORK) $(CARGO) test --quiet --manifest-path bindings/rust/Cargo.toml --target-dir $(BINDINGS)/rust

# ---- What was installed ----------------------------------------------------------------------------------------------
# Node.js and Go are built against an installed tree, as their users build them: pkg-config says where it is.

BINDINGS_PREFIX := $(BINDINGS)/prefix
BINDINGS_PKG_CONFIG := $(BINDINGS_PREFIX)/lib/pkgconfig/happysock.pc

$(BINDINGS_PKG_CONFIG): $(SHARED) $(STATIC) $(NATIVE_LIBS) include/happysock.h happysock.pc.in
	@$(MAKE) -s install DESTDIR=$(BINDINGS)/stage PREFIX=$(BINDINGS_PREFIX) >/dev/null
	@rm -rf $(BINDINGS_PREFIX)
	@mv $(BINDINGS)/stage$(BINDINGS_PREFIX) $(BINDINGS_PREFIX)
	@touch $@

# ---- Node.js ---------------------------------------------------------------------------------------------------------
# Debian 12 has 18, which is too old: whoever has a newer one has it from elsewhere, with its headers beside it.

NODE ?= node
NODE_HEADERS = $(abspath $(dir $(realpath $(shell command -v $(NODE) || echo /nowhere/bin/node)))..)

.PHONY: run-bindings-node
run-bindings-node: $(BINDINGS_PKG_CONFIG)
	@if ! command -v $(NODE) >/dev/null; then \
	    echo "skipped: Node.js: it is not installed"; \
	elif ! command -v npm >/dev/null; then \
	    echo "skipped: Node.js: npm is not installed"; \
	elif [ "$$($(NODE) -p 'parseInt(process.versions.node)')" -lt 20 ]; then \
	    echo "skipped: Node.js: $$($(NODE) --version) is older than 20"; \
	elif ! [ -e $(NODE_HEADERS)/include/node/node_api.h ]; then \
	    echo "skipped: Node.js: its headers are not in $(NODE_HEADERS)/include/node"; \
	else \
	    rm -rf $(BINDINGS)/node && cp -r bindings/node $(BINDINGS)/node && cd $(BINDINGS)/node && \
	    HAPPYSOCK_PREFIX=$(BINDINGS_PREFIX) MAKEFLAGS= npm install --silent --offline --no-audit --no-fund --nodedir=$(NODE_HEADERS) && \
	    { $(BINDINGS_NETWORK) $(NODE) --test --test-reporter=tap test/*.test.js >node.tap; status=$$?; cat node.tap; \
	    awk '/^# pass / { passed = $$3 } /^# fail / { failed = $$3 } END { print passed + 0 " passed, " failed + 0 " failed" }' node.tap; \
	    exit $$status; }; \
	fi

# ---- Go --------------------------------------------------------------------------------------------------------------

GO ?= go
# Go's cache does not see that a header outside of the package has changed: a flag that changes with it tells.
GO_ENVIRONMENT = CGO_CFLAGS="-g -O2 -DHAPPYSOCK_HEADER=$$(cksum <$(BINDINGS_PREFIX)/include/happysock.h | tr ' ' _)" \
	PKG_CONFIG_PATH=$(BINDINGS_PREFIX)/lib/pkgconfig LD_LIBRARY_PATH=$(BINDINGS_PREFIX)/lib CGO_ENABLED=1 GOFLAGS=-mod=mod \
	GOPROXY=off GOCACHE=$(BINDINGS)/go-cache

.PHONY: run-bindings-go
run-bindings-go: $(BINDINGS_PKG_CONFIG)
	@if ! command -v $(GO) >/dev/null; then echo "skipped: Go: it is not installed"; else \
	    cd bindings/go && $(GO_ENVIRONMENT) $(GO) vet ./... && test -z "$$(gofmt -l . | tee /dev/stderr)" && \
	    $(GO_ENVIRONMENT) $(GO) test -c -o $(BINDINGS)/go-test . && \
	    { $(GO_ENVIRONMENT) $(BINDINGS_NETWORK) $(BINDINGS)/go-test -test.v >$(BINDINGS)/go.log; status=$$?; cat $(BINDINGS)/go.log; \
	    awk '/^--- PASS/ { passed++ } /^--- FAIL/ { failed++ } END { print passed + 0 " passed, " failed + 0 " failed" }' $(BINDINGS)/go.log; \
	    exit $$status; }; \
	fi

# ---- Lua -------------------------------------------------------------------------------------------------------------
# LuaJIT, which calls C by itself.

LUAJIT ?= luajit

.PHONY: run-bindings-lua
run-bindings-lua: $(BINDINGS_PKG_CONFIG)
	@if ! command -v $(LUAJIT) >/dev/null; then echo "skipped: LuaJIT: it is not installed"; else \
	    CC="$(CC)" HAPPYSOCK_INCLUDE=$(BINDINGS_PREFIX)/include LD_LIBRARY_PATH=$(BINDINGS_PREFIX)/lib \
	    $(BINDINGS_NETWORK) $(LUAJIT) bindings/lua/tests/run.lua; \
	fi
