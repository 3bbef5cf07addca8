"""Clamps as text. What they do in a kernel is tested in tests/netns/test_gateway_sizes.py."""

from __future__ import annotations

from plait.paths.clamping import Clamp, chains


def test_nothing_without_a_clamp() -> None:
    assert chains([]) == []


def test_both_ends_and_both_families() -> None:
    text = "\n".join(chains([Clamp("wan2", 1300)]))
    assert 'oifname "wan2" ip daddr @exits4 tcp flags syn / syn,rst tcp option maxseg size set 1260' in text
    assert 'iifname "wan2" ip6 saddr @exits6 tcp flags syn / syn,rst tcp option maxseg size set 1240' in text
    assert text.count("maxseg") == 4
    assert "hook output priority mangle" in text
    assert "hook input priority mangle" in text


def test_several_links() -> None:
    text = "\n".join(chains([Clamp("wan1", 1400), Clamp("wan2", 1300)]))
    assert text.count('"wan1"') == text.count('"wan2"') == 4
