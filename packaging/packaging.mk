# How others pick the library up: CMake and Meson, Debian's packages, release files.

CMAKEDIR ?= $(LIBDIR)/cmake/happysock

# ---- Install: parts of `make install` and `make uninstall` -----------------------------------------------------------

CMAKE_FILES := happysock-config.cmake happysock-config-version.cmake
# -lm as CMake writes it in a list.
CMAKE_STATIC_LIBS = $$(tr -s ' ' ';' <$(NATIVE_LIBS) | sed 's/;$$//')

# Relative paths, so that the installed tree can be moved and staged.
.PHONY: run-install-cmake run-uninstall-cmake
run-install-cmake:
	$(INSTALL) -d "$(DESTDIR)$(CMAKEDIR)"
	set -e; for file in $(CMAKE_FILES); do \
	    sed -e "s|@FROM_CMAKE_TO_LIB@|$$(realpath -sm --relative-to="$(CMAKEDIR)" "$(LIBDIR)")|" \
	        -e "s|@FROM_CMAKE_TO_INCLUDE@|$$(realpath -sm --relative-to="$(CMAKEDIR)" "$(INCLUDEDIR)")|" \
	        -e 's|@SOVERSION@|$(SOVERSION)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@MAJOR@|$(firstword $(subst ., ,$(VERSION)))|' \
	        -e "s|@STATIC_LIBS@|$(CMAKE_STATIC_LIBS)|" -e 's|@POINTER_SIZE@|8|' \
	        packaging/cmake/$$file.in >"$(DESTDIR)$(CMAKEDIR)/$$file"; \
	    chmod 644 "$(DESTDIR)$(CMAKEDIR)/$$file"; \
	done

run-uninstall-cmake:
	rm -f $(foreach file,$(CMAKE_FILES),"$(DESTDIR)$(CMAKEDIR)/$(file)")
	@if [ -d "$(DESTDIR)$(CMAKEDIR)" ]; then rmdir --ignore-fail-on-non-empty "$(DESTDIR)$(CMAKEDIR)"; fi

# ---- What is given to others -----------------------------------------------------------------------------------------

.PHONY: dist deny debian-package debian-test rpm-package
dist:
	@packaging/dist target/dist

deny:
	@packaging/deny

debian-package:
	@scripts/install-packages build debian
	@packaging/debian-package target/debian

debian-test:
	@scripts/install-packages build debian
	@packaging/debian-test target/debian-test

rpm-package:
	@scripts/install-packages build rpm
	@packaging/rpm-package target/rpm

# ---- Tests -----------------------------------------------------------------------------------------------------------

PACKAGES += packages
EXTRA_PACKAGES += debian rpm
SUITES += packages

# In short: the Debian packages themselves are built by debian-test.
.PHONY: suite-packages
suite-packages: build
	packaging/licences
	packaging/test/build-systems
	packaging/test/sources
