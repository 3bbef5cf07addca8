"""The hands: the only code that knows Linux.

* ``netlink``: framing and attributes; ``rtnl`` and ``mptcp_pm`` speak the two families we need.
* ``carrier``: is the cable in? As events can be a second late.
* ``nft``, ``sysctl``: rulesets by the program, parameters by the file.
* ``mptcp_info``: what the kernel knows of one connection's subflows.
* ``api``: observe and apply; ``linux`` does it, ``fake`` remembers it. One test suite holds both.
* ``capabilities``: what this host lacks, and how to get it.
"""
