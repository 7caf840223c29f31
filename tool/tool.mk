# The command `happy`.

HAPPY := target/release/happy
# The manual pages and the completions, which come from the definition that the parser uses.
HAPPY_GENERATED := target/release/happy-generated
MANDIR ?= $(DATADIR)/man
HAPPY_SOURCES := tool/Cargo.toml $(wildcard tool/src/*.rs)

.PHONY: tool
tool: $(HAPPY_GENERATED)/happy.1 $(PRELOAD)

# cargo leaves a program alone that would not change, hence the touch.
$(HAPPY): $(SOURCES) $(HAPPY_SOURCES)
	$(CARGO) build --release --package happysock-cli
	@touch $@

$(HAPPY_GENERATED)/happy.1: $(HAPPY)
	@rm -rf $(HAPPY_GENERATED)
	@$(HAPPY) generate $(HAPPY_GENERATED)

# ---- Install: parts of `make install` and `make uninstall` -----------------------------------------------------------

HAPPY_PAGES := happy happy-connect happy-lookup happy-check happy-draw happy-run

.PHONY: run-install-happy run-uninstall-happy
run-install-happy:
	@[ -s $(HAPPY_GENERATED)/happy.1 ] && [ -s $(PRELOAD) ] || { echo "make install: run \`make tool' first" >&2; exit 1; }
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(DATADIR)/bash-completion/completions" \
	    "$(DESTDIR)$(DATADIR)/zsh/site-functions" "$(DESTDIR)$(DATADIR)/fish/vendor_completions.d"
	$(INSTALL) -m 755 $(HAPPY) "$(DESTDIR)$(BINDIR)/happy"
	$(INSTALL) -d "$(DESTDIR)$(LIBDIR)/happysock"
	$(INSTALL) -m 644 $(PRELOAD) "$(DESTDIR)$(LIBDIR)/happysock/libhappysock_preload.so"
ifneq ($(STRIP),)
	$(STRIP) "$(DESTDIR)$(BINDIR)/happy"
	$(STRIP) --strip-unneeded "$(DESTDIR)$(LIBDIR)/happysock/libhappysock_preload.so"
endif
	for page in $(HAPPY_PAGES); do \
	    $(INSTALL) -m 644 $(HAPPY_GENERATED)/$$page.1 "$(DESTDIR)$(MANDIR)/man1/$$page.1" || exit; done
	$(INSTALL) -m 644 $(HAPPY_GENERATED)/happy.bash "$(DESTDIR)$(DATADIR)/bash-completion/completions/happy"
	$(INSTALL) -m 644 $(HAPPY_GENERATED)/_happy "$(DESTDIR)$(DATADIR)/zsh/site-functions/_happy"
	$(INSTALL) -m 644 $(HAPPY_GENERATED)/happy.fish "$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/happy.fish"

run-uninstall-happy:
	rm -f "$(DESTDIR)$(BINDIR)/happy" $(foreach page,$(HAPPY_PAGES),"$(DESTDIR)$(MANDIR)/man1/$(page).1") \
	    "$(DESTDIR)$(DATADIR)/bash-completion/completions/happy" "$(DESTDIR)$(DATADIR)/zsh/site-functions/_happy" \
	    "$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/happy.fish" "$(DESTDIR)$(LIBDIR)/happysock/libhappysock_preload.so"
	@if [ -d "$(DESTDIR)$(LIBDIR)/happysock" ]; then rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(LIBDIR)/happysock"; fi

# ---- Tests -----------------------------------------------------------------------------------------------------------

SUITES += tool
.PHONY: suite-tool
# Most of what they do is wait, each in a network of its own.
suite-tool:
	$(RUST_TEST) --bin happy $(patsubst tool/tests/%/main.rs,--test %,$(wildcard tool/tests/*/main.rs)) -- --test-threads=6
