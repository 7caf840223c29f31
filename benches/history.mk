# What a history costs a connect, and saves: see history_cost.c. HISTORY_ARGS="--check" ends with an error where it is too much.

HISTORY_ARGS ?=

target/c/release/history_cost: benches/history_cost.c include/happysock.h target/c/release/libhappysock.so
	$(CC) $(C_FLAGS) -O2 -Iinclude -o $@ $< -Ltarget/c/release -Wl,-rpath,'$$ORIGIN' -lhappysock

.PHONY: bench-history
bench-history:
	@scripts/install-packages build
	@$(MAKE) -s PROFILE=release target/c/release/history_cost
	@scripts/in-test-network target/c/release/history_cost $(HISTORY_ARGS)
