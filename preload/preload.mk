# For programs that cannot be changed: their getaddrinfo(3) and blocking connect(2) by happysock. `happy run` starts a program
# with it.

PRELOAD := target/preload/libhappysock_preload.so
PRELOAD_SOURCES := $(filter-out preload/test_%,$(wildcard preload/*.c))
PRELOAD_C_FLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -pthread -fPIC -fvisibility=hidden \
	-ftls-model=initial-exec

.PHONY: preload
preload: $(PRELOAD)

# Nothing of the archive is exported, and what it asks libc for goes past what this library exports.
$(PRELOAD): $(PRELOAD_SOURCES) $(wildcard preload/*.h) include/happysock.h $(STATIC) $(NATIVE_LIBS)
	@mkdir -p $(@D)
	$(CC) $(PRELOAD_C_FLAGS) $(CPPFLAGS) $(CFLAGS) -shared -Iinclude -o $@ $(PRELOAD_SOURCES) $(STATIC) \
	    -Wl,--exclude-libs,ALL -Wl,--gc-sections -Wl,-z,nodelete -Wl,-z,now -Wl,--wrap=getaddrinfo -Wl,--wrap=connect $(LDFLAGS) \
	    $$(cat $(NATIVE_LIBS))

# ---- Tests -----------------------------------------------------------------------------------------------------------

PRELOAD_TEST := target/preload/test_preload

$(PRELOAD_TEST): preload/test_preload.c
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) $(CFLAGS) -o $@ $< $$(pkg-config --cflags --libs cmocka)

SUITES += programs
PACKAGES += programs
.PHONY: suite-programs
suite-programs: $(PRELOAD) $(PRELOAD_TEST)
	$(CC) $(PRELOAD_C_FLAGS) -Werror -fsyntax-only -Iinclude $(PRELOAD_SOURCES)
	@$(BUILD_HAPPY)
	@RUN_WITH="$(RUN_IN) env LD_PRELOAD=$(CURDIR)/$(PRELOAD)" scripts/run-each $(TEST_LIMIT) $(PRELOAD_TEST)
	@$(RUN_IN) /usr/bin/python3 preload/test_programs.py $(PRELOAD) target/debug/happy
