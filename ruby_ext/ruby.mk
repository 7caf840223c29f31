# Ruby: CRuby's ext/socket with our ipsocket.c, the preload library, the gem, and their tests. All of it is built under
# target/ruby/.
#
#   RUBY      the Ruby to build for and to run; Debian's unless given
#   RUBY_SRC  the source tree of the same minor version, for cruby and cruby-test; that of Debian's package unless given
#   RUBY_SPEC a checkout of ruby/spec, for cruby-test-users; that of RUBY_SRC unless given
#   RUBIES    the Rubies that the precompiled gem is for; RUBY unless given
#
# For example: make cruby-test RUBY=/opt/ruby-4.0/bin/ruby RUBY_SRC=/usr/src/ruby-4.0

RUBY ?= ruby
RUBY_DEBIAN_SOURCE := RUBY="$(RUBY)" ruby_ext/debian-source target/ruby/source
# Found when it is first used, and once: the variable replaces itself by its value.
RUBY_SRC ?= $(eval RUBY_SRC := $$(shell $(RUBY_DEBIAN_SOURCE)))$(RUBY_SRC)
RUBY_SPEC ?=
# CRuby's tests of what is built on sockets.
RUBY_USERS ?= test/fiber test/open-uri test/net
# More arguments for the tests of ours, for example RUBY_TEST_ARGS="-v -n /fork/".
RUBY_TEST_ARGS ?=

RUBY_OUTPUT = target/ruby/$(shell $(RUBY) -e 'print "ruby-", RUBY_VERSION')
RUBY_SOCKET = $(CURDIR)/$(RUBY_OUTPUT)/socket
RUBY_SOCKS = $(CURDIR)/$(RUBY_OUTPUT)/socks
RUBY_PRELOAD = $(RUBY_OUTPUT)/libhappysock_ruby.so
RUBY_GEM = target/ruby/happysock.gem
RUBY_NATIVE_GEM = target/ruby/happysock-native.gem
# The Rubies that the precompiled gem has a file for.
RUBIES ?= $(RUBY)
# The library as extconf.rb finds it with --with-happysock.
RUBY_LIBRARY := $(CURDIR)/target/ruby/library
# Where a gem is installed to be tested.
RUBY_GEM_HOME = $(CURDIR)/$(RUBY_OUTPUT)/gem
RUBY_NATIVE_GEM_HOME = $(CURDIR)/$(RUBY_OUTPUT)/native-gem
RUBY_GLUE := include/happysock.h $(wildcard ruby_ext/glue/*.[ch])
RUBY_HEADERS = $(shell $(RUBY) -e 'puts RbConfig::CONFIG.values_at("rubyhdrdir", "rubyarchhdrdir").map { |path| "-I" + path }')
RUBY_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Wno-unused-parameter -fPIC
RUBY_LAB := target/debug/lab run --scenario
RUBY_TEST = $(RUBY_LAB) ruby_ext/test/scenario.json -- $(RUBY) ruby_ext/test/run.rb
# CRuby's tests of the socket library need ::1 for localhost, a name server that answers, and 192.0.2.1 silent.
RUBY_CRUBY_TEST = cd "$(RUBY_SRC)" && $(CURDIR)/target/debug/lab run --scenario $(CURDIR)/ruby_ext/test/cruby.json -- \
	$(RUBY) $(1) -Itool/lib test/runner.rb --ruby=$(RUBY) test/socket

PACKAGES += ruby
SUITES += ruby

.PHONY: cruby cruby-test cruby-test-stock cruby-test-users cruby-test-socks ruby-preload gem gem-test gem-native gem-native-test ruby-test lab-programs suite-ruby bench-ruby run-bench-ruby run-ruby-library ruby-measure run-gem-install run-gem-test run-ruby-test-preload run-ruby-test-cruby

run-ruby-library: $(STATIC)
	@mkdir -p $(RUBY_LIBRARY)/include $(RUBY_LIBRARY)/lib
	@ln -sf $(CURDIR)/include/happysock.h $(RUBY_LIBRARY)/include/
	@ln -sf $(CURDIR)/$(STATIC) $(RUBY_LIBRARY)/lib/

# socket.so of RUBY with ruby_ext/ipsocket/ipsocket.c in the place of CRuby's.
cruby: run-ruby-library
	@[ -n "$(RUBY_SRC)" ] || { echo "make cruby: there is no source of this Ruby; give RUBY_SRC=DIRECTORY" >&2; exit 1; }
	$(RUBY) ruby_ext/ipsocket/build.rb --source "$(RUBY_SRC)" --output $(RUBY_SOCKET) --happysock $(RUBY_LIBRARY)

lab-programs:
	@$(BUILD_LAB)

cruby-test: cruby lab-programs
	@echo "note: CRuby's tests and socket.so are of $$(basename "$(RUBY_SRC)"), the Ruby is $$($(RUBY) -e 'print RUBY_VERSION')"
	export RUBYLIB=$(RUBY_SOCKET):$(RUBY_SOCKET)/lib; $(call RUBY_CRUBY_TEST,-r$(CURDIR)/ruby_ext/test/cruby_test_mode)

# SOCKSSocket through a proxy: the drop-in built with --enable-socks for a small SOCKS library of ours, which has the soname of
# Debian's: where that is installed too, ours is taken when the tests run.
cruby-test-socks: run-ruby-library lab-programs
	@[ -n "$(RUBY_SRC)" ] || { echo "make cruby-test-socks: there is no source of this Ruby; give RUBY_SRC=DIRECTORY" >&2; exit 1; }
	@mkdir -p $(RUBY_SOCKS)
	$(CC) $(RUBY_CFLAGS) -shared -Wl,-soname,libsocksd.so.0 -o $(RUBY_SOCKS)/libsocksd.so.0 ruby_ext/test/socks/libsocksd.c
	@ln -sf libsocksd.so.0 $(RUBY_SOCKS)/libsocksd.so
	LD_LIBRARY_PATH=$(RUBY_SOCKS) $(RUBY) ruby_ext/ipsocket/build.rb --source "$(RUBY_SRC)" --output $(RUBY_SOCKS)/socket \
	    --happysock $(RUBY_LIBRARY) -- --enable-socks --with-opt-lib=$(RUBY_SOCKS)
	LD_LIBRARY_PATH=$(RUBY_SOCKS) $(RUBY_LAB) ruby_ext/test/cruby.json -- \
	    $(RUBY) -I$(RUBY_SOCKS)/socket -I$(RUBY_SOCKS)/socket/lib ruby_ext/test/socks/test_socks.rb

# What is built on sockets: ruby/spec's examples and RUBY_USERS. Only what fails here and passes with the stock library counts.
cruby-test-users: cruby lab-programs
	target/debug/lab run --scenario ruby_ext/test/cruby.json -- $(RUBY) ruby_ext/test/beside_stock.rb \
	    --socket $(RUBY_SOCKET) --source "$(RUBY_SRC)" --spec "$(RUBY_SPEC)" $(RUBY_USERS)

# The same tests with the stock library, to compare.
cruby-test-stock: lab-programs
	$(call RUBY_CRUBY_TEST)

# For LD_PRELOAD on a stock Ruby of the version of RUBY.
ruby-preload: $(STATIC)
	@mkdir -p $(RUBY_OUTPUT)
	$(CC) $(RUBY_CFLAGS) -shared -Wl,-z,lazy -Wl,-z,nodelete $(RUBY_HEADERS) -Iinclude -Iruby_ext/glue -o $(RUBY_PRELOAD) \
		ruby_ext/preload/preload.c $(STATIC) -Wl,--exclude-libs,ALL -lpthread -ldl -lm

# Builds the Rust library when it is installed, without a network.
gem:
	@mkdir -p target/ruby
	$(RUBY) ruby_ext/gem/stage.rb --output target/ruby/gem-source --cargo "$(CARGO)"
	cd target/ruby/gem-source && $(RUBY) -S gem build happysock.gemspec --output $(CURDIR)/$(RUBY_GEM)

# Installs the gem into a directory of its own and tests what was installed.
gem-test: run-gem-install
	@$(MAKE) -s run-gem-test

run-gem-install: gem
	rm -rf $(RUBY_GEM_HOME)
	CARGO="$(CARGO)" $(RUBY) -S gem install --local --no-document --install-dir $(RUBY_GEM_HOME) $(RUBY_GEM)
	$(RUBY) ruby_ext/gem/test/installed.rb $(RUBY_GEM_HOME)

run-gem-test: lab-programs
	GEM_PATH=$(RUBY_GEM_HOME):$$($(RUBY) -S gem environment path) $(RUBY_TEST) --with gem $(RUBY_TEST_ARGS)

# One file for each of RUBIES, for x86_64 with glibc.
gem-native: run-ruby-library
	@set -e; natives=; for ruby in $(RUBIES); do \
	    version=$$($$ruby -e 'print RUBY_VERSION[/\A\d+\.\d+/]'); \
	    directory=$(CURDIR)/target/ruby/native/$$version; rm -rf $$directory; mkdir -p $$directory; \
	    (cd $$directory && $$ruby $(CURDIR)/ruby_ext/gem/ext/happysock/extconf.rb --with-happysock=$(RUBY_LIBRARY) >log && \
	        $(MAKE) -s >>log); \
	    natives="$$natives --native $$version=$$directory/happysock.so"; \
	done; $(RUBY) ruby_ext/gem/stage.rb --output target/ruby/native-gem-source $$natives
	cd target/ruby/native-gem-source && $(RUBY) -S gem build happysock.gemspec --output $(CURDIR)/$(RUBY_NATIVE_GEM)

# Installed and tried where neither cargo nor a compiler is to be found.
gem-native-test: gem-native
	rm -rf $(RUBY_NATIVE_GEM_HOME)
	ruby=$$(command -v $(RUBY)) && gem=$$($(RUBY) -e 'print File.join(RbConfig::CONFIG["bindir"], "gem")') && \
	    PATH=/nonexistent $$ruby $$gem install --local --no-document --install-dir $(RUBY_NATIVE_GEM_HOME) $(RUBY_NATIVE_GEM)
	$(RUBY) ruby_ext/gem/test/installed.rb $(RUBY_NATIVE_GEM_HOME)

# What Ruby programs get: the same tests over the preload library and, where it was built, over the drop-in.
ruby-test: ruby-preload
	@$(MAKE) -s -k run-ruby-test-preload run-ruby-test-cruby

run-ruby-test-preload: lab-programs
	$(RUBY_TEST) --with preload=$(CURDIR)/$(RUBY_PRELOAD) $(RUBY_TEST_ARGS)

run-ruby-test-cruby: lab-programs
	test ! -e $(RUBY_SOCKET)/socket.so || $(RUBY_TEST) --with cruby=$(RUBY_SOCKET) $(RUBY_TEST_ARGS)

# Only the drop-in needs the source. Each part runs, whatever the others did. What is built is built first; the tests of ours, which
# wait most of the time, then run side by side, each in a network of its own.
suite-ruby:
	@scripts/has-tun "the Ruby tests, which run in the lab" || exit 0; \
	failed=0; source="$(if $(filter-out undefined default file,$(origin RUBY_SRC)),$(RUBY_SRC))"; \
	if [ -n "$$source" ] || source=$$($(RUBY_DEBIAN_SOURCE)); then \
	    $(MAKE) -s -k cruby-test cruby-test-users RUBY_SRC="$$source" RUBY_USERS=test/open-uri || failed=1; \
	else \
	    echo "skipped: CRuby's tests and the drop-in: no source of this Ruby can be had; RUBY_SRC=DIRECTORY gives one"; \
	    rm -rf "$(RUBY_SOCKET)"; \
	fi; \
	$(MAKE) -s -k ruby-preload run-gem-install || failed=1; \
	$(MAKE) -s -k -j3 --output-sync=target run-ruby-test-preload run-ruby-test-cruby run-gem-test || failed=1; \
	$(MAKE) -s gem-native-test || failed=1; \
	exit $$failed

# TCPSocket.new and Socket.tcp: stock, ours, and a C loop, for each of RUBIES. The drop-in and the gem where they were built.
bench-ruby: lab-programs
	@set -e; for ruby in $(RUBIES); do $(MAKE) -s run-bench-ruby RUBY=$$ruby; done

run-bench-ruby: ruby-preload
	@target/debug/lab run --scenario ruby_ext/test/cruby.json -- ruby benches/ruby_tcpsocket.rb --ruby $(RUBY) \
	    preload=LD_PRELOAD=$(CURDIR)/$(RUBY_PRELOAD) \
	    $(if $(wildcard $(RUBY_SOCKET)/socket.so),cruby=RUBYLIB=$(RUBY_SOCKET):$(RUBY_SOCKET)/lib) \
	    $(if $(wildcard $(RUBY_GEM_HOME)/gems),gem=RUBYOPT=-rhappysock/tcp_socket$(comma)GEM_PATH=$(RUBY_GEM_HOME))
comma := ,

# What a name server that hangs costs: stock and ours.
ruby-measure: lab-programs ruby-preload
	@target/debug/lab run --scenario ruby_ext/test/scenario.json -- $(RUBY) ruby_ext/test/measure.rb \
	    happysock=LD_PRELOAD=$(CURDIR)/$(RUBY_PRELOAD)
