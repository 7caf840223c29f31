# Patches for existing programs. Not in CI: it fetches the sources of Debian's packages, and builds them.

EXTRA_PACKAGES += real-programs

.PHONY: try-patches
try-patches:
	@scripts/install-packages build real-programs
	@$(MAKE) -s build
	@docs/patches/real-programs target/real-programs
