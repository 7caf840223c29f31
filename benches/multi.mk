# make bench-multi: many connects at once, beside a floor in C, libcurl and hyper-util, in one run. BENCH_MULTI="--rounds 3 --check" changes it.

BENCH_DIRECTORY := target/bench
BENCH_C_FLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -pthread
BENCH_PEERS := target/peers/release/multi-run
BENCH_MULTI_PROGRAMS := $(BENCH_DIRECTORY)/multi_floor $(BENCH_DIRECTORY)/multi_happy $(BENCH_DIRECTORY)/multi_curl
BENCH_PORT ?= 9000

$(BENCH_DIRECTORY)/multi_%: benches/multi_%.c benches/multi_common.h
	@mkdir -p $(BENCH_DIRECTORY)
	$(CC) $(BENCH_C_FLAGS) -Iinclude -o $@ $< $(BENCH_LINK)

$(BENCH_DIRECTORY)/multi_happy: benches/multi_happy.c benches/multi_common.h $(SHARED) include/happysock.h
	@mkdir -p $(BENCH_DIRECTORY)
	@ln -sf $(abspath $(SHARED)) $(BENCH_DIRECTORY)/libhappysock.so.$(SOVERSION)
	$(CC) $(BENCH_C_FLAGS) -Iinclude -o $@ benches/multi_happy.c $(SHARED) -Wl,-rpath,'$$ORIGIN'

$(BENCH_DIRECTORY)/multi_curl: BENCH_LINK = $$(pkg-config --cflags --libs libcurl)

$(BENCH_PEERS): benches/peers/Cargo.toml $(wildcard benches/peers/src/bin/*.rs)
	$(CARGO) build --quiet --release --manifest-path benches/peers/Cargo.toml --target-dir target/peers
	@touch $@

# CARES=DIRECTORY: another c-ares than the system's, installed there. A newer one calls deprecated what 1.18 has nothing else for.
BENCH_CARES_LINK := $(if $(CARES),-I$(CARES)/include -L$(CARES)/lib -Xlinker -rpath -Xlinker $(abspath $(CARES))/lib) -lcares

$(BENCH_DIRECTORY)/multi_cares: BENCH_LINK = $(BENCH_CARES_LINK)

BENCH_DNS_PROGRAMS := $(addprefix $(BENCH_DIRECTORY)/,multi_dns_floor multi_happy multi_cares)
BENCH_DNS ?=

.PHONY: bench-multi run-bench-multi bench-dns run-bench-dns run-bench-heap
bench-multi:
	@scripts/install-packages bench
	@$(MAKE) --no-print-directory run-bench-multi

run-bench-multi: $(BENCH_MULTI_PROGRAMS) $(BENCH_DIRECTORY)/multi_server $(BENCH_PEERS)
	@scripts/in-test-network $(BENCH_DIRECTORY)/multi_server $(BENCH_PORT) 20 $(BENCH_PEERS) --port $(BENCH_PORT) \
	    --json $(BENCH_DIRECTORY)/multi.json $(BENCH_MULTI) $(BENCH_MULTI_PROGRAMS) target/peers/release/multi-hyper

# Names that a DNS server answers, a lone one first. Up to 1,024 in flight; the loss of questions is judged at a server with default buffers.
bench-dns:
	@scripts/install-packages bench
	@$(MAKE) --no-print-directory run-bench-dns

run-bench-dns: $(BENCH_DNS_PROGRAMS) $(BENCH_DIRECTORY)/multi_server $(BENCH_PEERS)
	@scripts/in-test-network $(BENCH_DIRECTORY)/multi_server $(BENCH_PORT) 20 $(BENCH_PEERS) --port $(BENCH_PORT) --subject dns \
	    --threads 1024 --counts 1,10,100,1000,10000 --json $(BENCH_DIRECTORY)/dns.json $(BENCH_DNS) $(BENCH_DNS_PROGRAMS) \
	    target/peers/release/multi-hickory
	@BENCH_SERVER_BUFFER=default scripts/in-test-network $(BENCH_DIRECTORY)/multi_server $(BENCH_PORT) 20 $(BENCH_PEERS) \
	    --port $(BENCH_PORT) --subject loss --threads 100 --counts 10000 --json $(BENCH_DIRECTORY)/loss.json $(BENCH_DNS) \
	    $(BENCH_DIRECTORY)/multi_dns_floor $(BENCH_DIRECTORY)/multi_happy

# What a name keeps in memory while it is looked up, beside a connect by number: one run each, since it does not vary.
run-bench-heap: $(BENCH_DIRECTORY)/multi_dns_floor $(BENCH_DIRECTORY)/multi_happy $(BENCH_DIRECTORY)/multi_server $(BENCH_PEERS)
	@scripts/in-test-network $(BENCH_DIRECTORY)/multi_server $(BENCH_PORT) 20 $(BENCH_PEERS) --port $(BENCH_PORT) --subject heap \
	    --rounds 1 --threads 1024 --counts 10000 --json $(BENCH_DIRECTORY)/heap.json --check \
	    $(BENCH_DIRECTORY)/multi_dns_floor $(BENCH_DIRECTORY)/multi_happy
