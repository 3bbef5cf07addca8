"""The pump: worker processes that move bytes between clients, exits and targets.

* `loop`: one small epoll loop with timers; edge-triggered, no `epoll_ctl` in the hot path.
* `pump`: sessions and their two legs. From the word "relay" on they own the descriptors.
* `race`, `resolver`, `dialer`: how a connection is opened (RFC 8305), without ever waiting.
* `gateway`, `exit`: what is done with an accepted connection in either role.
* `worker`: the process itself: takes orders from control as JSON lines, drops its privileges.

Nothing here imports asyncio or `plait.control`; a worker is as small as a router needs it.
"""
