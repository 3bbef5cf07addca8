"""How a stream or an association of some method begins, whichever edition of Shadowsocks it is of.

Both editions give the same kinds of object (`Sealer`, `Opener`, `Request`); what follows the beginning
does not care. ``random`` gives random bytes, ``clock`` the seconds since the epoch.
"""

from __future__ import annotations

from plait.wire import shadowsocks, shadowsocks2022, shadowsocks2022_udp, shadowsocks_udp
from plait.wire.cipher import Key
from plait.wire.shadowsocks import Candidates, Opener, Sealer
from plait.wire.shadowsocks2022 import Clock, Directory, Randomness, for_ever

Dial = shadowsocks.Dial | shadowsocks2022.Dial
Accept = shadowsocks.Accept | shadowsocks2022.Accept


def dial(key: Key | None, random: Randomness, clock: Clock) -> Dial:
    """How a gateway greets; ``key`` is None for the method ``none``."""
    if key is not None and key.suite.edition == 2022:
        return shadowsocks2022.Dial(key, random, clock)
    return shadowsocks.Dial(key, random(key.salt_size) if key is not None else b"")


Talk = shadowsocks_udp.Talk | shadowsocks2022_udp.Talk


def talk(key: Key | None, random: Randomness, clock: Clock) -> Talk:
    """A gateway's end of a new association of datagrams; ``key`` is None for the method ``none``."""
    if key is not None and key.suite.edition == 2022:
        return shadowsocks2022_udp.Talk(key, random, clock)
    return shadowsocks_udp.Talk(key, random)


class Keyring:
    """All keys of an exit, and what it does with them."""

    def __init__(self, keys: Candidates, random: Randomness, clock: Clock, memory: Clock = for_ever) -> None:
        """``keys`` by user, all of one method; none for the method ``none``. ``memory`` tells for how many
        seconds salts have been remembered."""
        self._memory = memory
        self._keys = tuple(keys)
        self._key_of = dict(keys)
        self._random = random
        self._clock = clock
        self._directory: Directory | None = None
        if self._keys and self._keys[0][1].suite.edition == 2022:
            self._directory = Directory(self._keys)

    def __bool__(self) -> bool:
        return bool(self._keys)

    def accept(self) -> Accept:
        """How the exit is greeted."""
        if self._directory is not None:
            return shadowsocks2022.Accept(self._directory, self._clock, self._memory)
        return shadowsocks.Accept(self._keys or None)

    def answer(self, opener: Opener) -> tuple[Sealer, bytes | None]:
        """What seals the answer to the stream that ``opener`` opens; and its salt where that has to be
        remembered, so that our own answer is not taken when it comes back to us as a request."""
        key = self._key_of[opener.user or ""]
        salt = self._random(key.salt_size)
        if key.suite.edition == 2022:
            assert opener.salt is not None
            return shadowsocks2022.AnswerSealer(key, salt, opener.salt, self._clock), None
        return Sealer(key, salt), salt
