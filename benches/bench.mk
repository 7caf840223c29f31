# What one connect costs: see connect_floor.c.

BENCH_CURL := $(shell pkg-config --exists libcurl 2>/dev/null && echo yes)
BENCH_ARGS ?=

target/c/release/connect_floor: benches/connect_floor.c include/happysock.h target/c/release/libhappysock.so
	$(CC) $(C_FLAGS) -O2 $(if $(BENCH_CURL),-DWITH_CURL) -Iinclude -o $@ $< \
	    -Ltarget/c/release -Wl,-rpath,'$$ORIGIN' -lhappysock $(if $(BENCH_CURL),$$(pkg-config --libs libcurl))

.PHONY: bench bench-check
bench:
	@scripts/install-packages build bench
	@$(MAKE) -s PROFILE=release target/c/release/connect_floor
	@pkg-config --exists libcurl 2>/dev/null || echo "skipped: libcurl: it is not installed"
	@scripts/in-test-network target/c/release/connect_floor $(BENCH_ARGS)

# Ends with an error when a connect by name costs more than 1.5 times B, or to a numeric address more than 1.15 times A.
bench-check:
	@$(MAKE) -s bench BENCH_ARGS="--check $(BENCH_ARGS)"
