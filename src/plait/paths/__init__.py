"""The judgement: which ways are used, and what the host must look like for it. Pure.

* ``model``: what a host is (observed) and what it should be (wanted), as frozen values.
* ``marks``: the numbers by which plait recognises what is its own in the kernel.
* ``reach``: what each configured path amounts to on this host, and whom it can reach.
* ``standing``, ``choice``: how each path stands, and which ones are used for what because of it.
* ``policy``: modes and health turned into a wanted :class:`~plait.paths.model.HostState`.
* ``changes``, ``diff``, ``intercept``: the ordered steps from the one to the other.
"""
