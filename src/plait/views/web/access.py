"""Who may see and change what: passwords, cookies, tokens, and how often one may guess.

A cookie is ``expiry.nonce.proof``; the proof is a MAC under a key that control keeps in the run directory
and that the password is part of. So a cookie outlives a restart, and ends with a change of the password.
Nothing here has a clock: ``now`` is seconds since the epoch.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address

LASTS = 30 * 86400
"""Seconds that a login is good for."""
NONCE = 16
"""Bytes of randomness in a cookie."""

_TRIES = 5.0
"""Wrong passwords that one address may give at once."""
_AGAIN = 10.0
"""Seconds after which it may give one more."""
_ALL_TRIES = 50.0
"""The same of all addresses together."""
_ALL_AGAIN = 1.0
_REMEMBERED = 4096
"""Addresses whose wrong passwords are remembered; then the one that was quiet longest is forgotten."""
_LONGEST = 200
"""Characters of a cookie."""


class Rights(Enum):
    """What somebody may do."""

    NONE = "none"
    READ = "read"
    CHANGE = "change"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who has sent a request."""

    rights: Rights
    nonce: str = ""
    """Of the cookie; empty for a token, and where nobody is asked."""


STRANGER = Visitor(Rights.NONE)


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float

    def filled(self, now: float, most: float, again: float) -> float:
        # A clock that was put back must not lock anybody out for so long.
        passed = now - self.at
        self.left = min(most, self.left + (passed / again if passed >= 0 else most))
        self.at = now
        return self.left


class Access:
    """Decides. With neither password nor token everybody may do everything: the config has said so."""

    def __init__(self, key: bytes, password: str, token: str) -> None:
        self._password = password.encode()
        self._token = token.encode()
        self._key = hashlib.blake2b(self._password, key=key[:64], digest_size=32).digest()
        self._ended: OrderedDict[str, float] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._all = _Bucket(_ALL_TRIES, 0.0)

    @property
    def open(self) -> bool:
        """Whether nobody is asked who they are."""
        return not self._password and not self._token

    @property
    def has_password(self) -> bool:
        """Whether one can log in."""
        return bool(self._password)

    def wait(self, address: str, now: float) -> float:
        """Seconds until this address may try a password again; 0 for now."""
        bucket = self._buckets.get(_network(address))
        mine = bucket.filled(now, _TRIES, _AGAIN) if bucket is not None else _TRIES
        everyone = self._all.filled(now, _ALL_TRIES, _ALL_AGAIN)
        return max((1.0 - mine) * _AGAIN, (1.0 - everyone) * _ALL_AGAIN, 0.0)

    def right_password(self, said: str, address: str, now: float) -> bool:
        """Whether it is the password. Wrong ones are counted; ask `wait` first."""
        right = bool(self._password) and hmac.compare_digest(
            self._digest(said), self._digest_of(self._password)
        )
        if not right:
            self._wrong(address, now)
        return right

    def cookie(self, nonce: bytes, now: float) -> str:
        """A cookie for somebody who has said the password. ``nonce`` is random."""
        body = f"{int(now) + LASTS}.{nonce.hex()}"
        return f"{body}.{self._mac('cookie', body)}"

    def visitor(self, cookie: str | None, bearer: str | None, now: float) -> Visitor:
        """Who comes with this cookie and this ``Authorization: Bearer``."""
        if self.open:
            return Visitor(Rights.CHANGE)
        if cookie and self._password:
            nonce = self._nonce_of(cookie, now)
            if nonce:
                return Visitor(Rights.CHANGE, nonce)
        if bearer:
            # A token is long enough to be guessed by nobody, so nobody is slowed down; and whoever mistypes
            # a password on the same host must not keep Prometheus out.
            said = self._digest(bearer)
            if self._token and hmac.compare_digest(said, self._digest_of(self._token)):
                return Visitor(Rights.READ)
        return STRANGER

    def csrf(self, visitor: Visitor) -> str:
        """What a page must send along with a change: another site's can't read it."""
        return self._mac("csrf", visitor.nonce)

    def may_change(self, visitor: Visitor, said: str | None) -> bool:
        """Whether a change is this visitor's own will."""
        return visitor.rights is Rights.CHANGE and hmac.compare_digest(
            self.csrf(visitor).encode(), (said or "").encode(errors="replace")
        )

    def end(self, visitor: Visitor, now: float) -> None:
        """Log out: the cookie is good no more. Forgotten with the process, but never lived longer."""
        self._ended[visitor.nonce] = now + LASTS
        while len(self._ended) > _REMEMBERED or (self._ended and next(iter(self._ended.values())) < now):
            self._ended.popitem(last=False)

    def _wrong(self, address: str, now: float) -> None:
        network = _network(address)
        bucket = self._buckets.setdefault(network, _Bucket(_TRIES, now))
        self._buckets.move_to_end(network)
        bucket.filled(now, _TRIES, _AGAIN)
        self._all.filled(now, _ALL_TRIES, _ALL_AGAIN)
        bucket.left = max(0.0, bucket.left - 1.0)
        self._all.left = max(0.0, self._all.left - 1.0)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)

    def _nonce_of(self, cookie: str, now: float) -> str:
        """The nonce of a good cookie, else nothing."""
        body, _, proof = cookie[:_LONGEST].rpartition(".")
        right = self._mac("cookie", body)
        if not hmac.compare_digest(proof.encode(errors="replace"), right.encode()):
            return ""
        expiry, _, nonce = body.partition(".")
        return nonce if int(expiry) > now and nonce not in self._ended else ""

    def _mac(self, purpose: str, text: str) -> str:
        message = f"{purpose} {text}".encode(errors="replace")
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    def _digest(self, said: str) -> bytes:
        # Of equal length whatever was said: a comparison of digests tells nothing of the secret's.
        return self._digest_of(said.encode(errors="replace"))

    def _digest_of(self, said: bytes) -> bytes:
        return hashlib.blake2b(said, key=self._key, digest_size=32).digest()


def _network(address: str) -> str:
    """Whom wrong passwords are counted for: an IPv4 address, or a whole IPv6 network: in one of those
    anybody has as many addresses as they like."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if found.version == 6 and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(found) if found.version == 4 else found.packed[:8].hex()
