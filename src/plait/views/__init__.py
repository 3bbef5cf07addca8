"""Translations of the one snapshot: for a terminal today. Views ask over the control socket and
never look at the host themselves."""
