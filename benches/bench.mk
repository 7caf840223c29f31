# What one connect costs: see connect_floor.c.

BENCH_CURL := $(shell pkg-config --exists libcurl 2>/dev/null && echo yes)
BENCH_CARES := $(or $(CARES),$(shell pkg-config --exists libcares 2>/dev/null && echo yes))
BENCH_ARGS ?=

target/c/release/connect_floor: benches/connect_floor.c include/happysock.h target/c/release/libhappysock.so
	$(CC) $(C_FLAGS) -O2 $(if $(BENCH_CURL),-DWITH_CURL) $(if $(BENCH_CARES),-DWITH_CARES) $(if $(CARES),-Wno-deprecated-declarations) -Iinclude -o $@ $< \
	    -Ltarget/c/release -Wl,-rpath,'$$ORIGIN' -lhappysock $(if $(BENCH_CURL),$$(pkg-config --libs libcurl)) \
	    $(if $(BENCH_CARES),$(BENCH_CARES_LINK))

.PHONY: bench bench-check
bench:
	@scripts/install-packages build bench
	@$(MAKE) -s PROFILE=release target/c/release/connect_floor $(BENCH_DIRECTORY)/multi_server
	@for library in libcurl libcares; do \
	    pkg-config --exists $$library 2>/dev/null || echo "skipped: $$library: it is not installed"; done
	@scripts/in-test-network $(BENCH_DIRECTORY)/multi_server $(BENCH_PORT) 0 target/c/release/connect_floor $(BENCH_PORT) $(BENCH_ARGS)

# Ends with an error when a connect costs more than it may, in time or in system calls (the table in connect_floor.c), or
# a name in memory.
bench-check:
	@scripts/install-packages bench
	@$(MAKE) --no-print-directory run-bench-heap
	@$(MAKE) -s bench BENCH_ARGS="--check $(BENCH_ARGS)"
