"""Capture test vectors from a real shadowsocks-libev: ``python tests/interop/make_vectors.py``.

    client ──SOCKS5──▶ ss-local ──▶ recorder ──▶ ss-server ──▶ echo
                                    both directions, whole

Writes tests/vectors/shadowsocks/*.json. Needs ss-local, ss-server (Debian
package shadowsocks-libev), openssl (version 3), unshare and ip; and either root
or user namespaces: everything runs on the loopback of a network namespace that
vanishes with the script. Salts are random, so every run writes new vectors.

Imports nothing of plait: a ruler must not be made of the thing it measures.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

OUT = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "shadowsocks"
METHODS = {
    "aes-128-gcm": (16, AESGCM),
    "aes-256-gcm": (32, AESGCM),
    "chacha20-ietf-poly1305": (32, ChaCha20Poly1305),
}
PASSWORD = "correct horse, Käse"
ECHO, SERVER, RECORDER, LOCAL = 7007, 8388, 8389, 1080
DEADLINE = 10.0

# What is sent, as (text, times) a piece. A piece is sent when the former has come back.
SHORT = (("GET / HTTP/1.0\r\nHost: echo\r\n\r\n", 1), ("and a second piece", 1))
LONG = (("plait weaves links; ", 1000),)
CASES = (
    ("IPv4 target, two short pieces", "127.0.0.1", b"\x01\x7f\x00\x00\x01", SHORT),
    ("IPv6 target, two short pieces", "::1", b"\x04" + bytes(15) + b"\x01", SHORT),
    ("name as target, two short pieces", "localhost", b"\x03\x09localhost", SHORT),
    ("IPv4 target, one piece of more than one chunk", "127.0.0.1", b"\x01\x7f\x00\x00\x01", LONG),
)


@dataclass
class Tape:
    """Both directions of the connection that was last recorded."""

    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    done: asyncio.Event = field(default_factory=asyncio.Event)


async def copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tape: bytearray | None = None
) -> None:
    """Pass on until the end, and the end, too."""
    while data := await reader.read(65536):
        if tape is not None:
            tape += data
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof() and not writer.is_closing():
        writer.write_eof()


@asynccontextmanager
async def recorder() -> AsyncIterator[list[Tape]]:
    """A proxy before ss-server that keeps what passes."""
    tapes: list[Tape] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tape = Tape()
        tapes.append(tape)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", SERVER)
        try:
            await asyncio.gather(copy(reader, far_writer, tape.up), copy(far_reader, writer, tape.down))
        finally:
            far_writer.close()
            writer.close()
            tape.done.set()

    async with await asyncio.start_server(record, "127.0.0.1", RECORDER):
        yield tapes


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await copy(reader, writer)
    writer.close()


@asynccontextmanager
async def program(*command: str, port: int) -> AsyncIterator[None]:
    """A program that runs, and listens on ``port``, while the block does."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                if process.returncode is not None:
                    raise RuntimeError(f"{command[0]} ended with status {process.returncode}")
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                break
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def client(atyp: bytes, pieces: list[bytes]) -> None:
    """Through ss-local to the echo and back, as any SOCKS5 client would."""
    reader, writer = await asyncio.open_connection("127.0.0.1", LOCAL)
    writer.write(b"\x05\x01\x00")
    assert await reader.readexactly(2) == b"\x05\x00"
    writer.write(b"\x05\x01\x00" + atyp + ECHO.to_bytes(2, "big"))
    assert (await reader.readexactly(10))[1] == 0
    for piece in pieces:
        writer.write(piece)
        assert await reader.readexactly(len(piece)) == piece
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def capture(method: str) -> list[dict[str, object]]:
    """All cases for one method."""
    vectors: list[dict[str, object]] = []
    far = ("-k", PASSWORD, "-m", method, "-t", "60")
    async with (
        await asyncio.start_server(echo, ["127.0.0.1", "::1"], ECHO),
        recorder() as tapes,
        program("ss-server", "-s", "127.0.0.1", "-p", str(SERVER), *far, port=SERVER),
        program(
            *("ss-local", "-s", "127.0.0.1", "-p", str(RECORDER), "-b", "127.0.0.1", "-l", str(LOCAL), *far),
            port=LOCAL,
        ),
        asyncio.timeout(6 * DEADLINE),
    ):
        for what, host, atyp, pieces in CASES:
            tapes.clear()
            await client(atyp, [(text * times).encode() for text, times in pieces])
            (tape,) = tapes
            await tape.done.wait()
            payload = [[text, times] for text, times in pieces]
            request = {"target": [host, ECHO], "payload": payload}
            vectors.append({"what": f"request: {what}", "hex": tape.up.hex(), "meaning": request})
            answer = {"target": None, "payload": payload}
            vectors.append({"what": f"answer: {what}", "hex": tape.down.hex(), "meaning": answer})
    return vectors


def plain_of(method: str, stream: bytes) -> bytes:
    """Open a capture in the most literal way, to see that it is what it should be."""
    size, aead = METHODS[method]
    secret = openssl_key(PASSWORD, size)
    salt, rest = stream[:size], stream[size:]
    first = hmac.digest(hmac.digest(salt, secret, "sha1"), b"ss-subkey\x01", "sha1")
    second = hmac.digest(hmac.digest(salt, secret, "sha1"), first + b"ss-subkey\x02", "sha1")
    cipher = aead((first + second)[:size])
    plain, count = b"", 0
    while rest:
        length = int.from_bytes(cipher.decrypt(count.to_bytes(12, "little"), rest[:18], None), "big")
        plain += cipher.decrypt((count + 1).to_bytes(12, "little"), rest[18 : 34 + length], None)
        rest, count = rest[34 + length :], count + 2
    return plain


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def openssl_key(password: str, size: int) -> bytes:
    """EVP_BytesToKey(MD5), as the openssl program does it for its own files."""
    cipher = {16: "-aes-128-ecb", 32: "-aes-256-ecb"}[size]
    said = run("openssl", "enc", cipher, "-nosalt", "-md", "md5", "-k", password, "-P")
    return bytes.fromhex(said.partition("key=")[2].split()[0])


def keys() -> list[dict[str, object]]:
    """Known answers of both key derivations, by the openssl program."""
    answers: list[dict[str, object]] = []
    for password in ("secret", PASSWORD, "0123456789abcdef" * 5):
        for size in (16, 32):
            key = openssl_key(password, size)
            salt = hashlib.sha256(key).digest()[:size]
            options = ("digest:SHA1", f"hexkey:{key.hex()}", f"hexsalt:{salt.hex()}", "info:ss-subkey")
            kdfopts = [word for option in options for word in ("-kdfopt", option)]
            said = run("openssl", "kdf", "-keylen", str(size), *kdfopts, "HKDF")
            meaning = {"password": password, "key": key.hex(), "salt": salt.hex()}
            what = f"session key of {size} bytes"
            answers.append({"what": what, "hex": said.strip().replace(":", "").lower(), "meaning": meaning})
    return answers


def write(name: str, source: str, method: str | None, vectors: list[dict[str, object]]) -> None:
    head = {"source": source, "method": method, "password": PASSWORD if method in METHODS else None}
    text = json.dumps({**head, "vectors": vectors}, indent=1, ensure_ascii=False)
    (OUT / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    print(f"{name}.json: {len(vectors)} vectors")


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    version = next(word for word in run("ss-server", "-h").split() if word[0].isdigit())
    libev = f"captured from shadowsocks-libev {version}, ss-local and ss-server"
    for method in METHODS:
        vectors = asyncio.run(capture(method))
        write(method, libev, method, vectors)
    plain = [
        {**vector, "hex": plain_of(method, bytes.fromhex(str(vector["hex"]))).hex()} for vector in vectors
    ]
    write(
        "none",
        f'not captured: shadowsocks-libev {version} refuses the method none ("invalid cipher name"). '
        f"Its format is the plaintext of a sealed stream, so these are the {method} captures, opened",
        "none",
        plain,
    )
    write(
        "keys",
        f"computed by {run('openssl', 'version').split('(')[0].strip()}, enc -md md5 and kdf HKDF",
        None,
        keys(),
    )


if __name__ == "__main__":
    if "--inside" in sys.argv:
        subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
        main()
    else:
        user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
        inside = (sys.executable, __file__, "--inside")
        # --kill-child: nothing outlives this process, however it ends.
        os.execvp("unshare", ("unshare", "--net", "--kill-child", *user, "--fork", "--", *inside))
