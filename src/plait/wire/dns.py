"""Answers of DNS servers, as far as rules by domain need them: which addresses a name was said to have.

RFC 1035, section 4: a header of 12 bytes, questions, and resource records. Who wrote an answer is unknown,
so nothing in it is believed: every length is checked, names can't lead in circles, and what can't be read
is ``Malformed`` as a whole. Nothing is ever changed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from plait.wire.faults import Malformed

LARGEST = 4096
"""Bytes of the longest answer that is looked at: more is asked for by nobody (RFC 6891, section 6.2.5)."""
MOST = 64
"""Addresses taken out of one answer."""
LONGEST_LIFE = 86400
"""Seconds; what is to live longer is taken as if it said so."""

Labels = tuple[bytes, ...]
"""A name, lower case. Not joined: a label may have a dot in it, which is no border between labels."""

_HEADER = Struct("!HHHHHH")
_RECORD = Struct("!HHIH")
_ANSWER, _OPCODE, _RCODE = 0x8000, 0x7800, 0x000F
_IN, _A, _CNAME, _AAAA = 1, 1, 5, 28
_SIZES = {_A: 4, _AAAA: 16}
_LONGEST_NAME = 255
_STEPS = 16
"""CNAMEs in a row that are followed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said of one name."""

    names: tuple[Labels, ...]
    """The name that was asked for, and those that it stands for (CNAME), in order."""
    addresses: tuple[tuple[bytes, int], ...]
    """Packed addresses of the last of them, each with its time to live in seconds."""


def read(message: bytes) -> Answer:
    """Read an answer. ``Malformed`` when it is none, or anything in it up to its last answer record can't
    be right. One that says "no such name" has no addresses."""
    if not _HEADER.size <= len(message) <= LARGEST:
        raise Malformed("not the size of an answer")
    _, flags, questions, count, _, _ = _HEADER.unpack_from(message)
    if not flags & _ANSWER or flags & _OPCODE:
        raise Malformed("not an answer")
    if questions != 1:
        raise Malformed("not one question")
    asked, at = _name(message, _HEADER.size)
    at += 4  # the question's type and class
    if at > len(message):
        raise Malformed("cut off")
    aliases: dict[Labels, Labels] = {}
    found: list[tuple[Labels, bytes, int]] = []
    for _ in range(count if not flags & _RCODE else 0):
        owner, at = _name(message, at)
        if at + _RECORD.size > len(message):
            raise Malformed("cut off")
        kind, group, life, size = _RECORD.unpack_from(message, at)
        at += _RECORD.size
        if at + size > len(message):
            raise Malformed("cut off")
        if group == _IN and kind == _CNAME:
            alias, end = _name(message, at)
            if end != at + size:
                raise Malformed("a name of the wrong length")
            aliases.setdefault(owner, alias)
        elif group == _IN and kind in _SIZES:
            if size != _SIZES[kind]:
                raise Malformed("an address of the wrong length")
            found.append((owner, message[at : at + size], _life(life)))
        at += size
    names = _follow(asked, aliases)
    addresses = tuple((address, life) for owner, address, life in found if owner == names[-1])
    return Answer(names, addresses[:MOST])


def labels(domain: str) -> Labels:
    """A domain as the config has it: lower case, without a final dot."""
    return tuple(domain.encode("ascii").split(b"."))


def about(answer: Answer, domains: Sequence[Labels]) -> bool:
    """Whether any of the answer's names is one of these domains, or below one."""
    return any(name[-len(domain) :] == domain for name in answer.names for domain in domains)


def _life(seconds: int) -> int:
    """RFC 2181, section 8: with the first bit set it counts as zero."""
    return 0 if seconds >> 31 else min(seconds, LONGEST_LIFE)


def _follow(asked: Labels, aliases: dict[Labels, Labels]) -> tuple[Labels, ...]:
    names = [asked]
    for _ in range(_STEPS):
        alias = aliases.get(names[-1])
        if alias is None or alias in names:
            break
        names.append(alias)
    return tuple(names)


def _name(message: bytes, at: int) -> tuple[Labels, int]:
    """A name that begins there, and where it ends. RFC 1035, section 4.1.4: it may go on at a place before
    it. Each such place must be before the last, so that there is no going in circles."""
    found: list[bytes] = []
    total, end, before = 1, 0, at
    while True:
        if at >= len(message):
            raise Malformed("cut off")
        length = message[at]
        if not length:
            return tuple(found), end or at + 1
        if length >= 0xC0:
            if at + 2 > len(message):
                raise Malformed("cut off")
            end = end or at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            if at >= before:
                raise Malformed("a name that leads forward")
            before = at
            continue
        if length >= 0x40:
            raise Malformed("a label of an unknown kind")
        total += 1 + length
        if total > _LONGEST_NAME or at + 1 + length > len(message):
            raise Malformed("a name that is too long")
        found.append(message[at + 1 : at + 1 + length].lower())
        at += 1 + length
