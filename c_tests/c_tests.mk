# The C programs: tests, and the examples that the documentation shows. Built into target/c/PROFILE against the library of
# the same profile; PROFILE is debug, release, or a sanitizer's name.

PROFILE ?= debug
C_DIRECTORY := target/c/$(PROFILE)
# Where cargo puts the library of this profile.
LIBRARY_DIRECTORY ?= target/$(PROFILE)

C_FLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -pthread
C_LINK := -L$(C_DIRECTORY) -Wl,-rpath,'$$ORIGIN' -lhappysock
C_HEADERS := include/happysock.h c_tests/support.h
C_TESTS := $(patsubst c_tests/%.c,%,$(wildcard c_tests/test_*.c))
# How a test program is run.
RUN_IN := scripts/in-test-network

# The library under the names that programs look for.
$(C_DIRECTORY)/libhappysock.so: $(SOURCES)
	$(LIBRARY_BUILD)
	@mkdir -p $(C_DIRECTORY)
	@ln -sf $(abspath $(LIBRARY_DIRECTORY))/libhappysock.so $(C_DIRECTORY)/libhappysock.so
	@ln -sf libhappysock.so $(C_DIRECTORY)/libhappysock.so.$(SOVERSION)
	@touch -h $(C_DIRECTORY)/libhappysock.so

ifeq ($(PROFILE),debug)
LIBRARY_BUILD = $(CARGO) build --quiet --lib
else ifeq ($(PROFILE),release)
LIBRARY_BUILD = $(CARGO) build --quiet --release --lib
endif

$(C_DIRECTORY)/support.o: c_tests/support.c $(C_HEADERS)
	@mkdir -p $(C_DIRECTORY)
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -c -o $@ $<

$(C_DIRECTORY)/test_%: c_tests/test_%.c $(C_DIRECTORY)/support.o $(C_HEADERS) $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -o $@ $< $(C_DIRECTORY)/support.o $(C_LINK) $$(pkg-config --libs cmocka)

$(C_DIRECTORY)/connect: c_tests/examples/connect.c $(C_HEADERS) $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -o $@ $< $(C_LINK) $$(pkg-config --cflags --libs jansson)

$(C_DIRECTORY)/%: c_tests/examples/%.c $(C_HEADERS) $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -o $@ $< $(C_LINK)

.PHONY: c-programs run-c-tests
c-programs: $(C_TESTS:%=$(C_DIRECTORY)/%) $(C_DIRECTORY)/connect $(C_DIRECTORY)/first $(C_DIRECTORY)/greeter

# All of them run, whatever fails.
run-c-tests: c-programs
	@failed=0; for test in $(C_TESTS); do \
	    $(RUN_IN) $(RUN_WITH) $(C_DIRECTORY)/$$test || failed=1; done; exit $$failed

.PHONY: suite-c suite-c-release suite-memory
suite-c:
	@$(MAKE) -s run-c-tests PROFILE=debug

suite-c-release:
	@$(MAKE) -s run-c-tests PROFILE=release

suite-memory:
	@$(MAKE) -s run-c-tests PROFILE=release \
	    RUN_WITH="valgrind --quiet --leak-check=full --error-exitcode=99"

# ---- The demo --------------------------------------------------------------------------------------------------------

.PHONY: connect demo
connect:
	@scripts/install-packages build demo
	@$(MAKE) -s PROFILE=release target/c/release/connect
	@target/c/release/connect $(ARGS)

demo:
	@scripts/install-packages build demo
	@$(MAKE) -s PROFILE=release target/c/release/connect target/c/release/greeter
	@scripts/demo
