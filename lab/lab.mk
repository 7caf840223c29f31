# The network lab: how the library connects on networks that are late, lossy or broken.

# More arguments for `lab measure`, for example LAB_ARGS="--part selection --repeat 20". PEERS=1 measures peers too.
LAB_ARGS ?=
PEERS ?=
# What the suite allows a median to be away from what it should be; `make lab` judges by 3 ms. Where one is further away it is measured
# again: the machine may have stood still for a moment. Without the right to real-time priority, which root has, clients wait for what
# else the machine does.
LAB_CI_TOLERANCE_MS := $(if $(IS_ROOT),25,500)
LAB_CI_AGAIN := 5
# Clients run at real-time priority, so that what else the machine does stays out of the figures; LAB_PRIORITY= has them
# run like any program.
LAB_PRIORITY ?= --real-time
# One connect by name from C, which ends as soon as it has a connection.
LAB_CLIENT := connect {host} {port} --json --read-timeout 0

.PHONY: lab lab-short suite-lab
lab:
	@scripts/install-packages build demo lab
	@$(MAKE) -s PROFILE=release target/c/release/connect
	@[ -z "$(filter-out 0,$(PEERS))" ] || for peer in python3 node ruby go curl; do \
	    command -v $$peer >/dev/null || echo "skipped: $$peer: it is not installed"; done
	@$(BUILD_LAB)
	@target/debug/lab measure $(LAB_PRIORITY) --client 'target/c/release/$(LAB_CLIENT)' $(LAB_ARGS)

lab-short:
	@$(MAKE) -s lab LAB_ARGS='--short $(LAB_ARGS)'

SUITES += lab
PACKAGES += lab
suite-lab:
	@scripts/has-tun "the lab" || exit 0; set -e; \
	$(if $(IS_ROOT),,echo "note: clients have no real-time priority: judged by $(LAB_CI_TOLERANCE_MS) ms";) \
	$(MAKE) -s PROFILE=debug target/c/debug/connect; \
	$(BUILD_LAB); \
	target/debug/lab measure --short $(LAB_PRIORITY) --tolerance-ms $(LAB_CI_TOLERANCE_MS) --again $(LAB_CI_AGAIN) \
	    --client 'target/c/debug/$(LAB_CLIENT)'

# ---- Differential ----------------------------------------------------------------------------------------------------
# Random systems, name servers that may do anything, one question: the library has to answer as libc does. Both are asked by
# lab/ask.c. CHECKS may be lookup, family, subset, complete, clones; CASE=SEED runs one case and tells all about it.

CASES ?= 20000
SEED ?= 1
CHECKS ?= lookup,family,subset
CASE ?=
DIFFERENTIAL = target/debug/lab differential --check $(CHECKS) --seed $(SEED) --ask $(C_DIRECTORY)/ask

$(C_DIRECTORY)/ask: lab/ask.c include/happysock.h $(C_DIRECTORY)/libhappysock.so
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -o $@ $< $(C_LINK)

.PHONY: run-differential dns-differential suite-dns-differential
run-differential: $(C_DIRECTORY)/ask
	@$(BUILD_LAB)
	@$(DIFFERENTIAL) $(if $(CASE),--only $(CASE),--cases $(CASES))

# The optimised library is what users have; the short form runs on the one that checks its own assertions.
dns-differential:
	@scripts/install-packages build lab
	@$(MAKE) -s run-differential PROFILE=release

SUITES += dns-differential
suite-dns-differential:
	@$(MAKE) -s run-differential PROFILE=debug CASES=700
	@$(MAKE) -s run-differential PROFILE=debug CASES=100 SEED=2 CHECKS=lookup,family,subset,clones

# ---- Order -----------------------------------------------------------------------------------------------------------
# Random systems, one host with many addresses: the library has to order them as getaddrinfo(AF_UNSPEC) does. CASE=SEED runs
# one case and tells all about it.

ORDER = target/debug/lab order-differential --seed $(SEED)

.PHONY: run-order-differential order-differential suite-order-differential
run-order-differential:
	@$(BUILD_LAB)
	@$(ORDER) $(if $(CASE),--only $(CASE),--cases $(CASES))

order-differential:
	@scripts/install-packages build lab
	@$(MAKE) -s run-order-differential

SUITES += order-differential
suite-order-differential:
	@scripts/has-tun "the order beside libc's" || exit 0; $(MAKE) -s run-order-differential CASES=400

# ---- Delays ----------------------------------------------------------------------------------------------------------
# The fixed Connection Attempt Delay beside the one that fits the path, over round trips of 5 to 400 ms and losses up to 20 %:
# a table, target/lab/delays.json and delays.svg. DELAYS_ARGS="--short" or "--connects 1000".

DELAYS_ARGS ?=

.PHONY: lab-delays
lab-delays:
	@scripts/install-packages build lab
	@$(CARGO) run --quiet --release --package happysock-lab -- delays $(DELAYS_ARGS)
