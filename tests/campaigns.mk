# Slow campaigns. Each has a target of its own, and a short form that is a suite of `make test`, after the others: it takes
# every processor that there is.

NIGHTLY ?= $(CARGO) +nightly

# ---- Model checking --------------------------------------------------------------------------------------------------
# The handoff between worker, owner and canceller, and the wake-up, in every order that loom finds.

# Optimised for the many orders, but without what takes the compiler minutes: what loom reads its log's filter with is a third of all.
MODELS_PLAIN := regex-automata regex-syntax tracing-subscriber
.PHONY: models suite-models
models:
	RUSTFLAGS="--cfg loom" $(CARGO) test --quiet --release --lib --target-dir target/loom \
	    --config profile.release.lto=false --config profile.release.codegen-units=16 \
	    $(MODELS_PLAIN:%=--config profile.release.package.%.opt-level=0) model::

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
	@mkdir -p target/fuzz
	@tools=$$(scripts/cargo-tool cargo-fuzz) && export PATH="$$tools:$$PATH"; \
	$(NIGHTLY) fuzz build 2>target/fuzz/build.log || { tail -n 40 target/fuzz/build.log; exit 1; }; \
	failed=0; printf '%s\n' $(FUZZ_TARGETS) | xargs -P 2 -I '{}' scripts/fuzz-target '{}' $(SECONDS) || failed=1; exit $$failed

CAMPAIGNS += fuzz
# In six seconds a target does not make up for what the compiler spends on optimising it.
suite-fuzz:
	@if $(NIGHTLY) --version >/dev/null 2>&1; then CARGO_PROFILE_RELEASE_OPT_LEVEL=1 $(MAKE) -s fuzz SECONDS=6; \
	else echo "skipped: fuzzing: no nightly Rust here (rustup toolchain install nightly)"; fi

# ---- Mutation --------------------------------------------------------------------------------------------------------
# The scripts of the state machine have to notice at least 95 % of the changes that cargo-mutants makes to it, and with
# ROOM=dns those of the rules for names. SHARD=0/40 tries a fortieth.

SHARD ?=
ROOM ?= race

.PHONY: mutants suite-mutants
mutants:
	@tools=$$(scripts/cargo-tool cargo-mutants) && ROOM="$(ROOM)" PATH="$$tools:$$PATH" scripts/mutants $(if $(SHARD),--shard $(SHARD))

CAMPAIGNS += mutants
suite-mutants:
	@MUTANTS_JOBS=1 $(MAKE) -s mutants SHARD=0/80
