"""Shadow tests: base and candidate meet on real requests."""
