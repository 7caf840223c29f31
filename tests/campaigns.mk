# Slow campaigns. Each has a target of its own, and a short form that is a suite of `make test`, which runs beside the
# others: it computes and waits for nothing.

NIGHTLY ?= $(CARGO) +nightly

# ---- Model checking --------------------------------------------------------------------------------------------------
# The handoff between worker, owner and canceller, and the wake-up, in every order that loom finds.

.PHONY: models suite-models
models:
	RUSTFLAGS="--cfg loom" $(CARGO) test --quiet --release --lib --target-dir target/loom model::

CAMPAIGNS += models
suite-models: models

# ---- Fuzzing ---------------------------------------------------------------------------------------------------------
# Each target for SECONDS, two at a time, from the committed corpus. What one finds is in fuzz/artifacts, what it said in
# target/fuzz/TARGET.log.

SECONDS ?= 60
FUZZ_TARGETS ?= $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))

.PHONY: fuzz suite-fuzz
fuzz:
	@$(NIGHTLY) --version >/dev/null 2>&1 || { echo "make fuzz: it needs a nightly Rust (rustup toolchain install nightly)" >&2; exit 1; }
	@command -v cargo-fuzz >/dev/null || $(CARGO) install --quiet --locked cargo-fuzz
	@mkdir -p target/fuzz
	$(NIGHTLY) fuzz build 2>target/fuzz/build.log || { tail -n 40 target/fuzz/build.log; exit 1; }
	@failed=0; printf '%s\n' $(FUZZ_TARGETS) | xargs -P 2 -I '{}' scripts/fuzz-target '{}' $(SECONDS) || failed=1; exit $$failed

CAMPAIGNS += fuzz
suite-fuzz:
	@if $(NIGHTLY) --version >/dev/null 2>&1; then $(MAKE) -s fuzz SECONDS=60; \
	else echo "fuzz: no nightly Rust here, not run"; echo "0 passed, 0 failed"; fi

# ---- Mutation --------------------------------------------------------------------------------------------------------
# The scripts of the state machine have to notice at least 95 % of the changes that cargo-mutants makes to it. SHARD=0/40
# tries every fortieth.

SHARD ?=

.PHONY: mutants suite-mutants
mutants:
	@command -v cargo-mutants >/dev/null || $(CARGO) install --quiet --locked cargo-mutants
	@scripts/mutants $(if $(SHARD),--shard $(SHARD))

CAMPAIGNS += mutants
suite-mutants:
	@$(MAKE) -s mutants SHARD=0/40
