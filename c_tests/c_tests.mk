# The C programs: tests, and the examples that the documentation shows. Built into target/c/PROFILE against the library of
# the same profile; PROFILE is debug, release, or a sanitizer's name.

PROFILE ?= debug
C_DIRECTORY := target/c/$(PROFILE)
# Where cargo puts the library of this profile.
LIBRARY_DIRECTORY ?= target/$(PROFILE)

C_FLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -pthread
C_LINK := -L$(C_DIRECTORY) -Wl,-rpath,'$$ORIGIN' -lhappysock
C_HEADERS := include/happysock.h $(wildcard c_tests/*.h)
# What the tests share: the C files that are no test.
C_SUPPORT := $(patsubst c_tests/%.c,$(C_DIRECTORY)/%.o,$(filter-out c_tests/test_%.c,$(wildcard c_tests/*.c)))
C_TESTS := $(patsubst c_tests/%.c,%,$(wildcard c_tests/test_*.c))
SANITIZED_TESTS := $(filter-out test_loops,$(C_TESTS))
# How a test program is run, and how many seconds it may take, on a machine that is busy.
RUN_IN := scripts/in-test-network
TEST_LIMIT := 240
MEMORY_TEST_LIMIT := 600
# How many run at a time: what most of them do is wait, each in a network of its own, and none judges speed.
RUN_JOBS ?= 6

# The library under the names that programs look for: linked as it is for installation, but for the sanitizers.
$(C_DIRECTORY)/libhappysock.so: $(SOURCES) include/happysock.map scripts/link-shared
	$(LIBRARY_BUILD)
	@mkdir -p $(C_DIRECTORY)
	@rm -f $(C_DIRECTORY)/libhappysock.so
	@$(LIBRARY_LINK)
	@ln -sf libhappysock.so $(C_DIRECTORY)/libhappysock.so.$(SOVERSION)
	@touch -h $(C_DIRECTORY)/libhappysock.so

ifeq ($(PROFILE),debug)
LIBRARY_BUILD = $(CARGO) build --quiet --lib
else ifeq ($(PROFILE),release)
LIBRARY_BUILD = $(CARGO) build --quiet --release --lib
endif
LIBRARY_LINK = scripts/link-shared $(abspath $(LIBRARY_DIRECTORY))/libhappysock.a $(abspath $(C_DIRECTORY))/libhappysock.so

.SECONDARY:
$(C_DIRECTORY)/%.o: c_tests/%.c $(C_HEADERS)
	@mkdir -p $(C_DIRECTORY)
	$(CC) $(C_FLAGS) $(C_COMPILE_ONLY) $(CFLAGS) -Iinclude -c -o $@ $<

$(C_DIRECTORY)/test_%: $(C_DIRECTORY)/test_%.o $(C_SUPPORT) $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) -o $@ $(filter %.o,$^) $(C_LINK) $$(pkg-config --libs cmocka)

$(C_DIRECTORY)/connect: c_tests/examples/connect.c $(C_HEADERS) $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -o $@ $< $(C_LINK) $$(pkg-config --cflags --libs jansson)

$(C_DIRECTORY)/%: c_tests/examples/%.c $(C_HEADERS) $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -o $@ $< $(C_LINK)

.PHONY: c-programs sanitizer-programs run-c-tests
c-programs: $(C_TESTS:%=$(C_DIRECTORY)/%) $(C_DIRECTORY)/connect $(C_DIRECTORY)/first $(C_DIRECTORY)/greeter
# The sanitizers are for the tests that call the library themselves.
sanitizer-programs: $(SANITIZED_TESTS:%=$(C_DIRECTORY)/%)

run-c-tests: c-programs
	@RUN_JOBS=$(RUN_JOBS) RUN_WITH="$(RUN_IN)" scripts/run-each $(TEST_LIMIT) $(C_TESTS:%=$(C_DIRECTORY)/%)

.PHONY: suite-c suite-c-release suite-memory
suite-c:
	@$(MAKE) -s run-c-tests PROFILE=debug

# The loops are examples and their libraries' business. Forks are not tested under valgrind, which runs one thread at a time and
# slowly: a fork gives up waiting for lookups that have just begun long before they are through.
MEMORY_TESTS := $(filter-out test_loops test_process,$(C_TESTS))
# The optimised library: under valgrind, and what valgrind is not for without it.
suite-c-release:
	@$(MAKE) -s run-c-tests PROFILE=release C_TESTS="$(filter-out $(MEMORY_TESTS),$(C_TESTS))"

# At exit(3) valgrind has libc free what libc keeps, which waits for ever for a lock of getaddrinfo(3) that a worker had when it ended
# the threads. It is memory that can be reached, and no leak to these tests.
suite-memory:
	@$(MAKE) -s c-programs PROFILE=release
	@RUN_JOBS=$(RUN_JOBS) RUN_WITH="$(RUN_IN) valgrind --quiet --error-exitcode=99 --run-libc-freeres=no --leak-check=full \
	    --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=c_tests/valgrind.supp" \
	    scripts/run-each $(MEMORY_TEST_LIMIT) $(MEMORY_TESTS:%=target/c/release/%)

# ---- The demo --------------------------------------------------------------------------------------------------------

.PHONY: connect demo
connect:
	@scripts/install-packages build demo
	@$(MAKE) -s PROFILE=release target/c/release/connect
	@target/c/release/connect $(ARGS)

demo:
	@scripts/install-packages build demo
	@$(MAKE) -s PROFILE=release target/c/release/connect target/c/release/greeter
	@$(BUILD_HAPPY)
	@scripts/demo

# ---- Sanitizers ------------------------------------------------------------------------------------------------------
# The library and the tests with the address or the thread sanitizer: nightly Rust has the runtimes. Rust's own standard
# library stays as it was built.

RUST_TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
SANITIZER_address := -Zsanitizer=address
SANITIZER_RUNTIME_address := asan
SANITIZER_RUNTIME_thread := tsan
SANITIZER_thread := -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer

ifneq ($(filter address thread,$(PROFILE)),)
LIBRARY_DIRECTORY := target/sanitizer/$(PROFILE)/$(RUST_TARGET)/debug
# With what lets a test say that the runtime's functions before libc's only watch: else libc would be asked for every name.
LIBRARY_BUILD = RUSTFLAGS="$(SANITIZER_$(PROFILE))" $(CARGO) +nightly build --quiet --lib --features internals \
    --target $(RUST_TARGET) --target-dir target/sanitizer/$(PROFILE)
LIBRARY_LINK = ln -sf $(abspath $(LIBRARY_DIRECTORY))/libhappysock.so $(C_DIRECTORY)/libhappysock.so
# Compiled with the sanitizer, but linked without it: the runtime is the one that nightly Rust brings, since the library
# needs functions of it that an older compiler's lacks.
C_COMPILE_ONLY := -fsanitize=$(PROFILE) -fno-omit-frame-pointer
SANITIZER_RUNTIME := $(shell rustc +nightly --print sysroot 2>/dev/null)/lib/rustlib/$(RUST_TARGET)/lib/librustc-nightly_rt.$(SANITIZER_RUNTIME_$(PROFILE)).a
C_LINK += -Wl,--whole-archive $(SANITIZER_RUNTIME) -Wl,--no-whole-archive -Wl,--export-dynamic -lm -lrt -ldl -lpthread
endif

.PHONY: test-sanitizers suite-sanitizer-address suite-sanitizer-thread
suite-sanitizer-address suite-sanitizer-thread: suite-sanitizer-%:
	@$(MAKE) -s sanitizer-programs PROFILE=$*
	@TSAN_OPTIONS="suppressions=$(abspath c_tests/thread_sanitizer.supp) die_after_fork=0" HAPPYSOCK_TEST_WATCHED_LOOKUPS=1 \
	    RUN_JOBS=$(RUN_JOBS) RUN_WITH="$(RUN_IN)" scripts/run-each $(MEMORY_TEST_LIMIT) $(SANITIZED_TESTS:%=target/c/$*/%)

test-sanitizers:
	@scripts/install-packages $(PACKAGES)
	@MAKE="$(MAKE)" scripts/run-suites sanitizer-address sanitizer-thread
