# The manual: man pages and HTML, from the header's comments and the documents here. Sphinx makes the HTML.

MANUAL := target/manual
# Debian's, for which the packages are.
MANUAL_PYTHON ?= /usr/bin/python3 -B
SPHINX := $(MANUAL_PYTHON) -m sphinx
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/happysock
MANUAL_PROGRAMS := $(patsubst docs/examples/%.c,%,$(wildcard docs/examples/*.c))

SUITES += manual
PACKAGES += manual

.PHONY: manual manual-programs
manual: $(MANUAL)/theme/furo
	@scripts/install-packages manual
	@$(BUILD_HAPPY)
	@rm -rf $(MANUAL)/happy
	@target/debug/happy generate $(MANUAL)/happy
	@$(MANUAL_PYTHON) docs/tools/build.py $(MANUAL)
	@$(SPHINX) -q -W --keep-going -b html -d $(MANUAL)/doctrees $(MANUAL)/source $(MANUAL)/html
	@echo "$(MANUAL)/html/index.html; man -l $(MANUAL)/man/man7/happysock.7"

# One file of Python, by its hash.
$(MANUAL)/theme/furo: docs/requirements.txt
	@scripts/install-packages manual
	@rm -rf $(MANUAL)/theme
	@if $(MANUAL_PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --retries 1 --timeout 20 \
	    --no-deps --no-compile --require-hashes --target $(MANUAL)/theme -r docs/requirements.txt; then \
	    touch $@; \
	else \
	    echo "skipped: the theme of the HTML manual: pip could not get it, so it has another without dark colours"; \
	fi

# The programs that the pages show.
manual-programs: $(MANUAL_PROGRAMS:%=$(C_DIRECTORY)/manual/%)

$(C_DIRECTORY)/manual/%: docs/examples/%.c $(C_HEADERS) $(C_DIRECTORY)/libhappysock.so
	@mkdir -p $(@D)
	$(CC) $(C_FLAGS) $(CFLAGS) -Iinclude -o $@ $< -L$(C_DIRECTORY) -Wl,-rpath,'$$ORIGIN/..' -lhappysock $(MANUAL_LINK)

$(C_DIRECTORY)/manual/libevent_loop: MANUAL_LINK = -levent
$(C_DIRECTORY)/manual/io_uring_loop: MANUAL_LINK = -luring
$(C_DIRECTORY)/manual/tls: MANUAL_LINK = -lssl -lcrypto

.PHONY: suite-manual
suite-manual:
	@scripts/install-packages loops
	@$(MAKE) -s build
	@$(MANUAL_PYTHON) docs/tests/test_generator.py 2>&1
	@$(MAKE) -s manual-programs PROFILE=release
	@$(MAKE) -s manual
	@# What hangs in an example hangs for longer than the example's own limit, on a machine that stands still for a moment too.
	@HAPPYSOCK_TEST_SILENCE=30 $(RUN_IN) $(MANUAL_PYTHON) docs/tests/run_examples.py target/c/release/manual
	@HAPPYSOCK_TEST_SILENCE=30 $(RUN_IN) $(MANUAL_PYTHON) docs/tests/follow_guides.py
	@$(MANUAL_PYTHON) docs/tests/check_pages.py $(MANUAL)

# The race is recorded in the lab, and every picture drawn anew.
.PHONY: pictures
pictures:
	@scripts/install-packages build demo lab manual
	@$(MAKE) -s PROFILE=release target/c/release/connect
	@docs/pictures/record
	@$(MANUAL_PYTHON) docs/pictures/draw.py

# What was built is installed beside the library.
.PHONY: run-install-manual run-uninstall-manual
run-install-manual:
	@if [ -d $(MANUAL)/man ]; then set -e; \
	    for page in $(MANUAL)/man/man?/*; do section=$$(basename "$$(dirname "$$page")"); \
	        $(INSTALL) -d "$(DESTDIR)$(MANDIR)/$$section"; \
	        $(INSTALL) -m 644 "$$page" "$(DESTDIR)$(MANDIR)/$$section"; \
	    done; \
	fi
	@if [ -d $(MANUAL)/html ]; then set -e; \
	    (cd $(MANUAL)/html && find . -type f ! -name .buildinfo) | while read -r file; do \
	        $(INSTALL) -D -m 644 "$(MANUAL)/html/$$file" "$(DESTDIR)$(DOCDIR)/html/$$file"; \
	    done; \
	fi

# The names are those of the library alone; nothing else is in its directory of documents.
run-uninstall-manual:
	rm -f "$(DESTDIR)$(MANDIR)/man3/"happy_*.3 "$(DESTDIR)$(MANDIR)/man3/init_inetsock_happy.3" \
	    "$(DESTDIR)$(MANDIR)/man3/rb_getaddrinfo_happy.3" "$(DESTDIR)$(MANDIR)/man7/happysock"*.7
	rm -rf "$(DESTDIR)$(DOCDIR)/html"
	@if [ -d "$(DESTDIR)$(DOCDIR)" ]; then rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(DOCDIR)"; fi
