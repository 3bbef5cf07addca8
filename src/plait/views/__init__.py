"""Translations of the one snapshot: for a terminal, for a browser, for Prometheus. Views ask control and
never look at the host themselves."""
