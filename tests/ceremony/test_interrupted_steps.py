"""A terminal that goes away in the middle of a step: a failure is written down, and a token's process works on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from hsm_app.ceremony.plan import parse_plan
from hsm_app.ceremony.room import RoomClosed
from hsm_app.ceremony.script import Deed, Script, Step
from hsm_app.ceremony.transcript import EntryKind, parse_transcript
from hsm_app.errors import TokenError
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.play import Outcome, Play
from hsm_app.token.station import TokenStation, _serve
from tests.ceremony.plans import plan_text
from tests.token.fresh import blank


class ClosedRoom:
    """The terminal went away while the token worked."""

    def open_step(self, number: int, of: int, step: str, title: str, roles: str) -> None:
        """It was there then."""

    def say(self, text: str) -> None:
        raise RoomClosed("the terminal is gone")

    ask = ask_share = wait = say

    def show_share(self, custodian: str, words: object) -> None:
        raise RoomClosed("the terminal is gone")


def failed(step: Step) -> Outcome:
    raise TokenError("the token is gone")


def test_a_failure_that_nobody_sees_any_more_is_still_written_down(tmp_path: Path) -> None:
    plan = parse_plan(plan_text().encode())
    script = Script(plan=plan, title="", purpose=(), steps=(Step(id="one", title="", roles="all", deed=Deed.ROOT),))
    journal = Journal.create(tmp_path / "transcript.jsonl", lambda: 1_800_000_000, {})
    with pytest.raises(TokenError):
        Play(script, journal, ClosedRoom()).run({Deed.ROOT: failed})
    last = parse_transcript((tmp_path / "transcript.jsonl").read_bytes())[-1]
    assert last.kind is EntryKind.EXCEPTION
    assert last.body == {"what": "the token is gone", "reason": ""}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_a_tokens_process_leaves_the_terminals_signals_to_the_program(tmp_path: Path, number: signal.Signals) -> None:
    with TokenStation(blank(tmp_path / "one")) as station:
        before = station.describe()
        (process,) = [child for child in multiprocessing.active_children() if child.name == "token-test"]
        assert process.pid is not None
        os.kill(process.pid, number)
        assert station.describe() == before


def test_a_tokens_process_ends_quietly_when_the_program_was_killed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda _number, _handler: None)  # this is the test's own process
    near, far = multiprocessing.Pipe()
    near.send(("describe", (), {}))
    near.close()
    _serve(blank(tmp_path / "one"), far, False)
    with pytest.raises(EOFError):
        far.recv()  # it had taken the question, and had nobody to answer
