"""What a peer says: bytes in, values out, and back.

* Pure: no socket, clock, process or log. Salts come in as parameters.
* ``address``: the SOCKS5 address form that Shadowsocks borrows.
* ``cipher``: keys out of passwords, session keys out of salts, the AEAD calls.
* ``shadowsocks``: one object a direction (``Sealer``, ``Opener``) and the two
  ends of the greeting (``Dial``, ``Accept``).
* ``replay``: which salts were seen before, in memory that workers share.
"""
