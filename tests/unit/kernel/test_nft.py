from __future__ import annotations

from pathlib import Path

import pytest

from plait.errors import KernelError, MissingCapability
from plait.kernel import nft


def program(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ``nft`` of our own making."""
    made = folder / "nft"
    made.write_text(f"#!/bin/sh\n{body}\n")
    made.chmod(0o755)
    monkeypatch.setattr(nft, "_search_path", lambda: str(folder))


def test_the_script_goes_in_by_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, f'echo "$@" > {tmp_path}/args; cat > {tmp_path}/script', monkeypatch)
    nft.run("table inet plait\n", check_only=True)
    assert (tmp_path / "args").read_text() == "-c -f -\n"
    assert (tmp_path / "script").read_text() == "table inet plait\n"


def test_a_refusal_is_told_in_nfts_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "echo first >&2; echo second >&2; exit 1", monkeypatch)
    with pytest.raises(KernelError) as caught:
        nft.run("")
    assert caught.value.message == "nft: first"


def test_a_silent_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exit 7", monkeypatch)
    with pytest.raises(KernelError, match="ended with status 7"):
        nft.run("")


def test_an_nft_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "exec sleep 60", monkeypatch)
    monkeypatch.setattr(nft, "_TIMEOUT", 0.2)
    with pytest.raises(KernelError, match="timed out"):
        nft.run("")


def test_no_nft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_search_path", lambda: "/nowhere")
    with pytest.raises(MissingCapability) as caught:
        nft.run("")
    assert caught.value.hint == nft.REMEDY


@pytest.mark.parametrize(
    ("userdata", "comment"),
    [
        (b"", ""),
        (b"\0\5abcd\0", "abcd"),
        (b"\1\2xx\0\3ab\0", "ab"),
        (b"\1\2xx", ""),
        (b"\0", ""),
    ],
)
def test_the_comment_in_userdata(userdata: bytes, comment: str) -> None:
    assert nft._comment(userdata) == comment


@pytest.mark.parametrize(
    ("listed", "again"),
    [
        ("192.0.2.1 expires 23h59m59s880ms", "192.0.2.1"),
        ("192.0.2.1 timeout 5m expires 4m59s880ms", "192.0.2.1 timeout 4m59s"),
        ("192.0.2.1 timeout 5m expires 4m", "192.0.2.1 timeout 4m"),
        ("192.0.2.1 timeout 1h expires 780ms", "192.0.2.1 timeout 1s"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_an_element_is_added_again_with_what_is_left_of_it(listed: str, again: str) -> None:
    assert nft._again(listed.split()) == again
