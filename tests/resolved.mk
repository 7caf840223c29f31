# A real systemd-resolved beside this library: scripts/test-resolved.

SUITES += resolved
.PHONY: suite-resolved
suite-resolved:
	@scripts/test-resolved
