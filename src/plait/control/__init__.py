"""The head: one asyncio process with the privileges, which never touches a payload byte.

* `rundir`: the lock, the pid, and what has to be remembered to be put back.
* `doors`: listening sockets, opened here with privileges, inherited by workers.
* `supervisor`: starts workers, hands them their job, restarts the ones that die.
* `keeper`: observe → desired → diff → apply, whenever the kernel says "look again".
* `modes`: modes of paths that are set while plait runs.
* `mender`: gives live connections the subflows back that they have lost.
* `hooks`, `watchdog`, `remedies`, `commands`: what the owner wants done when a path changes or stays down.
* `quarrels`: other programs that undo what we set.
* `watch`: probes the exits and says when one is lost or back.
* `snapshot`, `report`: what is going on, as one frozen value, and how it comes together: `rates`, `sessions`,
  `devices`, `events`.
* `server`, `answers`: HTTP on a unix socket, and what may be asked there.
* `daemon`: puts these together for ``plait gateway``, ``exit`` and ``node``.
"""
