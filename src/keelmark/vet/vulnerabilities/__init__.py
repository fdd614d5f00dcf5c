"""Known vulnerabilities: advisories in OSV's format, versions in force, and what joins them."""
