"""The courier: one unprivileged process with all the UDP of this plait.

* ``process``: the process; ``orders``, ``channel``: what control and it say to each other.
* ``away``: a gateway's end of the sessions, one an exit; ``line``: one path to one exit.
* ``home``: an exit's end, for all gateways.
* ``echoes``: which probes are out, and how long to wait for them; ``trains``: capacity by a train's spread.
* ``tally``: what is counted, and the few lines it says.

Why it is a process of its own: docs/decisions/0008-courier.md.
"""
