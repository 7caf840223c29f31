# Proof under faults. `make test-faults` is the short form of all of it, for CI; faults, cancel-storm, soak and fuzz are the full ones.

FAULTS := $(C_DIRECTORY)/faults
FAULTS_SOURCES := c_tests/faults
FAULTS_HEADERS := include/happysock.h $(wildcard $(FAULTS_SOURCES)/*.h)
# The scenarios of all groups, and what judges their answers.
SCENARIOS := $(patsubst $(FAULTS_SOURCES)/%.c,$(FAULTS)/%.o,$(filter-out %/dns_scenarios.c,$(wildcard $(FAULTS_SOURCES)/*scenarios.c))) $(FAULTS)/answers.o
# Of names that the library looks up by itself, beside a name server.
DNS_SCENARIOS := $(FAULTS)/dns_scenarios.o $(FAULTS)/multi_scenarios.o $(FAULTS)/answers.o $(C_DIRECTORY)/name_server.o
FAULTS_PROGRAMS := every_call every_call_dns limits limits_dns allocations forks forks_dns unload
# The arguments of the programs: --short in CI.
FAULTS_FORM ?=

$(FAULTS)/libshim.so: $(wildcard $(FAULTS_SOURCES)/shim*.c) $(FAULTS_HEADERS)
	@mkdir -p $(FAULTS)
	$(CC) $(C_FLAGS) $(CFLAGS) -fPIC -shared -fvisibility=hidden -o $@ $(filter %.c,$^) -ldl

# Without getaddrinfo and gethostbyname2_r, which the library would take for somebody else's resolver.
$(FAULTS)/libshim_calls.so: $(wildcard $(FAULTS_SOURCES)/shim*.c) $(FAULTS_HEADERS)
	@mkdir -p $(FAULTS)
	$(CC) $(C_FLAGS) $(CFLAGS) -DWITHOUT_LOOKUPS -fPIC -shared -fvisibility=hidden -o $@ $(filter %.c,$^) -ldl

$(FAULTS)/%.o: $(FAULTS_SOURCES)/%.c $(FAULTS_HEADERS)
	@mkdir -p $(FAULTS)
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -c -o $@ $<

# The shim comes before the library and before libc: its functions are the ones that are found.
$(FAULTS)/unload: $(FAULTS)/unload.o $(FAULTS)/world.o $(FAULTS)/libshim.so
	$(CC) $(C_FLAGS) -o $@ $(FAULTS)/unload.o $(FAULTS)/world.o -L$(FAULTS) -Wl,-rpath,'$$ORIGIN' -lshim -ldl

# The archive in a plugin of somebody's, which is not linked to stay loaded as the shared library is. The shim knows it by its name.
$(FAULTS)/plugin/libhappysock.so: $(C_DIRECTORY)/libhappysock.so
	@mkdir -p $(FAULTS)/plugin
	$(CC) -shared -o $@ -Wl,--whole-archive $(LIBRARY_DIRECTORY)/libhappysock.a -Wl,--no-whole-archive \
	    $$(scripts/native-static-libs)

$(FAULTS)/soak: $(FAULTS)/soak.o $(FAULTS)/plot.o $(FAULTS)/world.o $(SCENARIOS) $(FAULTS)/libshim.so $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) -o $@ $(filter %.o,$^) -L$(FAULTS) -L$(C_DIRECTORY) -Wl,-rpath,'$$ORIGIN:$$ORIGIN/..' -lshim -lhappysock -lm

$(FAULTS)/%_dns: $(FAULTS)/%.o $(FAULTS)/world.o $(DNS_SCENARIOS) $(FAULTS)/libshim_calls.so $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) -o $@ $(filter %.o,$^) -L$(FAULTS) -L$(C_DIRECTORY) -Wl,-rpath,'$$ORIGIN:$$ORIGIN/..' -lshim_calls -lhappysock -pthread

$(FAULTS)/%: $(FAULTS)/%.o $(FAULTS)/world.o $(SCENARIOS) $(FAULTS)/libshim.so $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) -o $@ $(filter %.o,$^) -L$(FAULTS) -L$(C_DIRECTORY) -Wl,-rpath,'$$ORIGIN:$$ORIGIN/..' -lshim -lhappysock

.PRECIOUS: $(FAULTS)/%.o

# All of them run, whatever fails; some at a time, since what they do is wait, each in a network of its own. Seconds that one may
# take in its full form, on a machine that is busy.
FAULTS_LIMIT := 7200
EVERY_CALL_PARTS := 0 1 2
.PHONY: run-faults
run-faults: $(FAULTS_PROGRAMS:%=$(FAULTS)/%) $(FAULTS)/plugin/libhappysock.so
	@RUN_JOBS=$(RUN_JOBS) scripts/run-each $(FAULTS_LIMIT) \
	    $(foreach part,$(EVERY_CALL_PARTS),"$(FAULTS)/every_call $(FAULTS_FORM) --part $(part)/$(words $(EVERY_CALL_PARTS))") \
	    "scripts/in-test-network $(FAULTS)/every_call_dns $(FAULTS_FORM)" \
	    "scripts/in-test-network $(FAULTS)/forks_dns $(FAULTS_FORM)" "scripts/in-test-network $(FAULTS)/limits_dns $(FAULTS_FORM)" \
	    "$(FAULTS)/forks $(FAULTS_FORM)" "$(FAULTS)/limits $(FAULTS_FORM)" $(FAULTS)/allocations \
	    "$(FAULTS)/unload $(C_DIRECTORY)/libhappysock.so" "$(FAULTS)/unload $(FAULTS)/plugin/libhappysock.so"

.PHONY: faults test-faults suite-faults
# The optimised library is what users have; the short form runs on the one that checks its own assertions.
faults:
	@scripts/install-packages build
	@$(MAKE) -s run-faults PROFILE=release

suite-faults:
	@$(MAKE) -s run-faults PROFILE=debug FAULTS_FORM=--short
	@if $(CARGO) +nightly --version >/dev/null 2>&1; then \
	    $(MAKE) -s -k -j2 $(STORM)/thread/cancel_storm $(STORM)/address/cancel_storm; $(MAKE) -s cancel-storm CANCELS=5000; \
	else echo "skipped: the cancel storm: no nightly Rust here (rustup toolchain install nightly)"; fi

test-faults:
	@scripts/install-packages build storm
	@$(MAKE) -s suite-faults

SUITES += faults
PACKAGES += storm

# ---- Cancel storm ----------------------------------------------------------------------------------------------------

CANCELS ?= 100000
SEED ?= 1
STORM := target/storm
STORM_TARGET := $(shell uname -m)-unknown-linux-gnu
STORM_C := clang -std=gnu11 -O1 -g -Wall -Wextra -Werror -fno-omit-frame-pointer -Iinclude
NIGHTLY := $(CARGO) +nightly

# The library with a sanitizer; `lto` off, since the standard library comes without the sanitizer.
$(STORM)/%/$(STORM_TARGET)/release/libhappysock.a: $(SOURCES)
	@$(NIGHTLY) --version >/dev/null 2>&1 || { echo "make: the sanitizers need a nightly Rust: rustup toolchain install nightly" >&2; exit 1; }
	RUSTFLAGS="-Zsanitizer=$* -Cunsafe-allow-abi-mismatch=sanitizer" $(NIGHTLY) build --quiet --release --lib --features internals --target $(STORM_TARGET) \
	    --target-dir $(STORM)/$* --config profile.release.lto=false --config profile.release.codegen-units=16
	@touch $@

$(STORM)/address/cancel_storm: $(STORM)/address/$(STORM_TARGET)/release/libhappysock.a $(FAULTS_SOURCES)/cancel_storm.c \
    $(FAULTS_SOURCES)/world.c c_tests/name_server.c $(FAULTS_HEADERS)
	$(STORM_C) -fsanitize=address -o $@ $(FAULTS_SOURCES)/cancel_storm.c $(FAULTS_SOURCES)/world.c $< -ldl -lm -pthread
	$(STORM_C) -fsanitize=address -DOWN_CLIENT -o $@_dns $(FAULTS_SOURCES)/cancel_storm.c $(FAULTS_SOURCES)/world.c \
	    c_tests/name_server.c $< -ldl -lm -pthread

# cancel_storm_dns, over lookups that the library makes itself, is made beside cancel_storm.

# Rust's own runtime of the sanitizer, which knows what its compiler asks for; and the standard library's part, see tsan_std.c.
$(STORM)/thread/cancel_storm: $(STORM)/thread/$(STORM_TARGET)/release/libhappysock.a $(FAULTS_SOURCES)/cancel_storm.c \
    $(FAULTS_SOURCES)/world.c $(FAULTS_SOURCES)/tsan_std.c c_tests/name_server.c $(FAULTS_HEADERS)
	@set -e; \
	undefined() { nm $< 2>/dev/null | sed -nE "s/^ +U (_R.*$$1)$$/\1/p" | head -n 1; }; \
	lock=$$(undefined '5mutex5futex.*5Mutex14lock_contended'); once=$$(undefined '4once5futex.*4Once4call'); \
	runtime=$$(find "$$(rustc +nightly --print sysroot)" -name 'librustc*tsan.a' | head -n 1); \
	[ -n "$$lock" ] && [ -n "$$once" ] && [ -n "$$runtime" ] || \
	    { echo "make: the standard library of this nightly is not as tsan_std.c knows it" >&2; exit 1; }; \
	cd $(STORM)/thread; sources=$(CURDIR)/$(FAULTS_SOURCES); \
	$(STORM_C:-Iinclude=-I$(CURDIR)/include) -fsanitize=thread -c $$sources/cancel_storm.c $$sources/world.c $$sources/../name_server.c; \
	$(STORM_C:-Iinclude=-I$(CURDIR)/include) -fsanitize=thread -DOWN_CLIENT -c -o cancel_storm_dns.o $$sources/cancel_storm.c; \
	$(STORM_C) -DMUTEX_LOCK=$$lock -DONCE_CALL=$$once -c $$sources/tsan_std.c; \
	for objects in "cancel_storm cancel_storm.o" "cancel_storm_dns cancel_storm_dns.o name_server.o"; do \
	    clang -o $$objects world.o tsan_std.o $(CURDIR)/$< \
	        -Wl,--wrap=$$lock,--wrap=$$once,--wrap=__tsan_atomic64_fetch_sub,--wrap=__tsan_atomic_thread_fence \
	        -Wl,--whole-archive $$runtime -Wl,--no-whole-archive -Wl,--export-dynamic -ldl -lrt -lm -pthread; \
	done

.PRECIOUS: $(STORM)/%/$(STORM_TARGET)/release/libhappysock.a

.PHONY: cancel-storm
cancel-storm: $(STORM)/thread/cancel_storm $(STORM)/address/cancel_storm
	@failed=0; \
	for sanitizer in thread address; do \
	    echo "cancel storm, sanitizer: $$sanitizer"; \
	    $(STORM)/$$sanitizer/cancel_storm --cancels $(CANCELS) --seed $(SEED) || failed=1; \
	    echo "the same over lookups without threads:"; \
	    scripts/in-test-network $(STORM)/$$sanitizer/cancel_storm_dns --cancels $(CANCELS) --seed $(SEED) || failed=1; \
	done; \
	exit $$failed

# ---- Soak ------------------------------------------------------------------------------------------------------------

MINUTES ?= 60

.PHONY: soak
# Writes target/soak/soak.csv, soak.json and soak.svg.
soak:
	@scripts/install-packages build
	@$(MAKE) -s PROFILE=release target/c/release/faults/soak
	@mkdir -p target/soak
	@target/c/release/faults/soak --minutes $(MINUTES) --directory target/soak --seed $(SEED)
