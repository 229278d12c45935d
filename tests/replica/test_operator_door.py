"""The operator's door on a real Unix socket: who may use it, what it answers, and what junk does to it."""

from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hsm_app.errors import ConfigError, ProtocolError
from hsm_app.net.address import Address, listen
from hsm_app.operator.door_client import DoorClosedError, call
from hsm_app.replica.operator_door import Handler, OperatorDoor
from hsm_app.wire.frames import encode_frame
from hsm_app.wire.operator_bodies import Entry, EpochReport, decode_entry, decode_report, encode_entry, encode_report
from hsm_app.wire.operator_call import OperatorCall, encode_call
from tests.replica.link_group import PATIENCE

REPORT = EpochReport(
    replica=3, epoch=2, manifest=b"m" * 32, is_sweeping=True, is_swept=False, swept=70_000, fault="no majority"
)


async def echo(body: bytes) -> bytes:
    return body * 2


async def refuse(_body: bytes) -> bytes:
    raise ConfigError("this does not follow", "Ask for another")


async def broken(_body: bytes) -> bytes:
    raise ValueError("a bug")


async def never(_body: bytes) -> bytes:
    await asyncio.Event().wait()
    return b""


HANDLERS: dict[str, Handler] = {"echo": echo, "refuse": refuse, "broken": broken, "never": never}


@asynccontextmanager
async def opened(path: Path, fail: Callable[[BaseException], None] = lambda _: None) -> AsyncIterator[Address]:
    door = OperatorDoor(HANDLERS, fail)
    await door.start(Address(path=str(path)))
    yield Address(path=str(path))
    door.close()


async def asked(address: Address, name: str, body: bytes = b"") -> bytes:
    return await asyncio.to_thread(call, address, name, body)


async def test_a_call_is_answered_and_an_error_keeps_its_family_and_words(tmp_path: Path) -> None:
    async with opened(tmp_path / "door") as address:
        assert await asked(address, "echo", b"x" * 30_000) == b"x" * 60_000
        with pytest.raises(ConfigError, match=r"this does not follow\. Ask for another"):
            await asked(address, "refuse")
        with pytest.raises(ProtocolError, match="knows no call 'other'"):
            await asked(address, "other")
        assert await asked(address, "echo") == b""


async def test_only_its_owner_may_use_the_socket(tmp_path: Path) -> None:
    async with opened(tmp_path / "door"):
        assert stat.S_IMODE((tmp_path / "door").stat().st_mode) == 0o600


async def test_what_a_killed_process_left_is_taken_over_and_no_other_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "door"))
    async with opened(tmp_path / "door") as address:
        assert await asked(address, "echo", b"a") == b"aa"
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to("nowhere")
    for name, what in (("file", "a file"), ("", "a directory"), ("link", "a link")):
        with pytest.raises(ConfigError, match=rf"{tmp_path / name} is {what}, no socket\. Move it away") as caught:
            await OperatorDoor({}, lambda _: None).start(Address(path=str(tmp_path / name)))
        assert "in use" not in str(caught.value)
        with pytest.raises(ConfigError, match="no socket"):
            await listen(Address(path=str(tmp_path / name)), asyncio.Protocol)
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(ConfigError, match=r"cannot listen on .*nowhere"):
        await OperatorDoor({}, lambda _: None).start(Address(path=str(tmp_path / "nowhere/door")))


async def test_a_bug_ends_the_process_and_the_caller_hears_that_it_is_away(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    door = OperatorDoor(HANDLERS, failures.append)
    await door.start(Address(path=str(tmp_path / "door")))
    asking = asyncio.ensure_future(asked(Address(path=str(tmp_path / "door")), "broken"))
    async with asyncio.timeout(PATIENCE):
        while not failures:
            await asyncio.sleep(0.005)
    door.close()
    with pytest.raises(DoorClosedError, match="hung up during broken"):
        await asking
    with pytest.raises(DoorClosedError, match="is away"):
        await asked(Address(path=str(tmp_path / "door")), "echo")


@pytest.mark.parametrize("junk", [b"\0" * 64, b"GET / HTTP/1.1\r\n\r\n", encode_frame(b"\xc0"), encode_frame(b"junk")])
async def test_junk_is_hung_up_on(tmp_path: Path, junk: bytes) -> None:
    async with opened(tmp_path / "door") as address:
        reader, writer = await asyncio.open_unix_connection(address.path)
        writer.write(junk)
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
        assert await asked(address, "echo", b"a") == b"aa"


async def test_calls_that_do_not_wait_for_their_turn_are_hung_up_on(tmp_path: Path) -> None:
    async with opened(tmp_path / "door") as address:
        reader, writer = await asyncio.open_unix_connection(address.path)
        writer.write(encode_frame(encode_call(OperatorCall(name="never", body=b""))) * 2)
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()


async def test_the_door_is_on_this_host(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unix:/path"):
        await OperatorDoor({}, lambda _: None).start(Address(host="127.0.0.1", port=1))


def test_the_bodies_of_calls_come_back_as_they_were() -> None:
    assert decode_report(encode_report(REPORT)) == REPORT
    entry = Entry(manifest=b"manifest", certificates=(b"one", b"two"))
    assert decode_entry(encode_entry(entry)) == entry
    for body in (b"", b"\xc0", encode_report(REPORT)[:-1], encode_report(REPORT) + b"\0"):
        with pytest.raises(ProtocolError):
            decode_report(body)
