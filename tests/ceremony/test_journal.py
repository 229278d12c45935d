"""The journal under a disk that fills up, a crash in the middle of a line, a clock that goes back, and an editor."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_app.ceremony.room import RoomClosed
from hsm_app.ceremony.transcript import Entry, EntryKind, encode_entry, line_hash, parse_transcript
from hsm_app.errors import ConfigError, LogError, StoreError
from hsm_app.operator.ceremonies.journal import Journal
from tests.ceremony.stage import Rehearsal

BEGIN = {"ceremony": "genesis"}


class Clock:
    def __init__(self) -> None:
        self.time = 1_800_000_000

    def __call__(self) -> int:
        self.time += 1
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def journal(tmp_path: Path, clock: Clock) -> Journal:
    journal = Journal.create(tmp_path / "transcript.jsonl", clock, BEGIN)
    journal.write(EntryKind.STARTED, "one")
    journal.write(EntryKind.DONE, "one", answer=42)
    journal.write(EntryKind.STARTED, "two")
    return journal


def test_what_is_done_and_what_was_interrupted_is_read_back(journal: Journal, tmp_path: Path, clock: Clock) -> None:
    again = Journal.resume(tmp_path / "transcript.jsonl", clock)
    assert again.result("one") == {"answer": 42}
    assert again.result("two") is None
    assert again.interrupted == {"two"}
    assert again.begin == BEGIN


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_a_line_that_a_crash_cut_short_is_no_line(journal: Journal, tmp_path: Path, clock: Clock, kept: int) -> None:
    path = tmp_path / "transcript.jsonl"
    whole = path.read_bytes()
    journal.write(EntryKind.DONE, "two")
    path.write_bytes(path.read_bytes()[: len(whole) + kept])
    again = Journal.resume(path, clock)
    assert path.read_bytes() == whole
    again.write(EntryKind.DONE, "two")
    assert len(parse_transcript(path.read_bytes())) == 5


def test_looking_at_a_transcript_leaves_a_line_that_is_being_written(
    journal: Journal, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "transcript.jsonl"
    with path.open("ab") as file:
        file.write(b'{"body":')
    now = path.read_bytes()
    assert Journal.read(path, clock).interrupted == {"two"}
    assert path.read_bytes() == now


def test_a_second_process_does_not_touch_a_ceremony_that_is_played(tmp_path: Path) -> None:
    """VAULT-CEREMONY-ONE-WRITER"""
    first, second = Rehearsal(tmp_path / "ceremony"), Rehearsal(tmp_path / "ceremony")
    refused: list[str] = []

    def try_it() -> None:
        before = (first.root / "transcript.jsonl").read_bytes()
        with pytest.raises(StoreError) as busy:
            second.play()
        assert (first.root / "transcript.jsonl").read_bytes() == before
        refused.append(busy.value.what)

    first.room.before_asking, first.room.leave_at = try_it, "clock"
    with pytest.raises(RoomClosed):
        first.play()
    assert set(refused) == {f"another process works in {first.root}"}
    assert first.entries()[-1].kind is EntryKind.PAUSED


def test_a_full_disk_is_said_and_leaves_whole_lines(journal: Journal, tmp_path: Path, clock: Clock) -> None:
    """A limit on the file's size stands for the disk: part of a line fits, and the rest is refused."""
    path = tmp_path / "transcript.jsonl"
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
    try:
        with pytest.raises(StoreError, match="Make room on the disk, then: hsm-vault ceremony resume"):
            journal.write(EntryKind.DONE, "two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == whole
    journal.write(EntryKind.DONE, "two")
    assert Journal.resume(path, clock).result("two") == {}


def test_a_ceremony_on_a_full_disk_stops_and_goes_on(tmp_path: Path) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))  # in the middle of the tokens' keys; a token needs less
    try:
        with pytest.raises(StoreError, match="Make room on the disk"):
            rehearsal.play()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not rehearsal.journal().is_ended
    rehearsal.play()
    assert rehearsal.entries()[-1].kind is EntryKind.END


def test_a_clock_that_went_back_stops_the_ceremony(journal: Journal, tmp_path: Path, clock: Clock) -> None:
    clock.time -= 3600
    with pytest.raises(ConfigError, match="clock is behind the last line"):
        journal.write(EntryKind.DONE, "two")
    clock.time += 3600
    journal.write(EntryKind.DONE, "two")


def test_a_ceremony_does_not_go_on_under_a_clock_that_was_set_back(tmp_path: Path, clock: Clock) -> None:
    rehearsal = Rehearsal(tmp_path / "ceremony", clock=clock)
    rehearsal.room.leave_at = "script"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    before = (rehearsal.root / "transcript.jsonl").read_bytes()
    clock.time -= 3600
    with pytest.raises(ConfigError, match="clock is behind the last line") as refused:
        rehearsal.play()
    assert "If it is right, it was ahead before" in refused.value.todo
    assert (rehearsal.root / "transcript.jsonl").read_bytes() == before
    clock.time += 3600
    with pytest.raises(RoomClosed):
        rehearsal.play()


def test_a_clock_that_is_set_back_by_a_second_keeps_the_order(journal: Journal, tmp_path: Path, clock: Clock) -> None:
    clock.time -= 3
    journal.write(EntryKind.DONE, "two")
    parse_transcript((tmp_path / "transcript.jsonl").read_bytes())


def test_two_ceremonies_do_not_share_a_directory(journal: Journal, tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="is there already"):
        Journal.create(tmp_path / "transcript.jsonl", clock, BEGIN)


def test_a_directory_without_a_ceremony_is_named(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ConfigError, match="Name the directory of a ceremony"):
        Journal.resume(tmp_path / "transcript.jsonl", clock)


def rechained(lines: list[bytes]) -> bytes:
    """Give every line the hash of the one before, as somebody would who edits the file by program."""
    previous, made = "0" * 64, []
    for number, line in enumerate(lines):
        members = {**json.loads(line), "n": number, "previous": previous}
        made.append(json.dumps(members, sort_keys=True, separators=(",", ":")).encode() + b"\n")
        previous = line_hash(made[-1])
    return b"".join(made)


EDITS: dict[str, tuple[Callable[[list[bytes]], bytes], str]] = {
    "a word is changed": (lambda ls: b"".join(ls).replace(b'"answer":42', b'"answer":43'), "does not follow"),
    "a line is taken out": (lambda ls: b"".join(ls[:1] + ls[2:]), "is not a whole number from 1 to 1"),
    "two lines are exchanged": (lambda ls: b"".join([ls[0], ls[2], ls[1], ls[3]]), "is not a whole number"),
    "a blank is added": (lambda ls: b"".join([ls[0].replace(b",", b", ", 1), *ls[1:]]), "not in the one encoding"),
    "a member is added": (lambda ls: b"".join([ls[0].replace(b"{", b'{"x":1,', 1), *ls[1:]]), "unknown member"),
    "it ends within a line": (lambda ls: b"".join(ls)[:-1], "cut off within a line"),
    "it is empty": (lambda _: b"", "is empty"),
    "it begins twice": (lambda ls: rechained([ls[0], ls[0], *ls[1:]]), "does not begin once"),
    "a value is no JSON": (
        lambda ls: rechained([ls[0].replace(b'"body":{', b'"body":{"a":NaN,'), *ls[1:]]),
        "no number",
    ),
    "a step is done that was never started": (lambda ls: rechained([ls[0], ls[2]]), "was never started"),
    "a step is done twice": (lambda ls: rechained([*ls[:3], ls[2]]), "goes back to step one"),
    "time goes back": (
        lambda ls: rechained([ls[0], ls[1].replace(b"2027", b"2026"), *ls[2:]]),
        "is earlier than the line before",
    ),
}


@pytest.mark.parametrize(("edit", "says"), EDITS.values(), ids=EDITS.keys())
def test_a_transcript_is_refused_when(
    journal: Journal, tmp_path: Path, edit: Callable[[list[bytes]], bytes], says: str
) -> None:
    lines = (tmp_path / "transcript.jsonl").read_bytes().splitlines(keepends=True)
    with pytest.raises(LogError, match=says) as refusal:
        parse_transcript(edit(lines))
    assert refusal.value.check == "transcript-chain"


def test_nothing_follows_the_end(tmp_path: Path, clock: Clock) -> None:
    last = Entry(n=0, time=0, previous="0" * 64, step="", kind=EntryKind.BEGIN, body={})
    end = Entry(n=1, time=0, previous=line_hash(encode_entry(last)), step="", kind=EntryKind.END, body={})
    more = Entry(n=2, time=0, previous=line_hash(encode_entry(end)), step="", kind=EntryKind.PAUSED, body={})
    assert parse_transcript(encode_entry(last) + encode_entry(end))
    with pytest.raises(LogError, match="goes on after its end"):
        parse_transcript(b"".join(map(encode_entry, (last, end, more))))
