# The command `happy`.

.PHONY: tool suite-tool
tool: target/release/happy

# The manual pages and completions stand beside it, for `make install`.
target/release/happy: $(SOURCES) tool/Cargo.toml $(wildcard tool/src/*.rs)
	$(CARGO) build --release --package happysock-cli
	@rm -rf target/happy
	@target/release/happy generate target/happy
	@touch $@
