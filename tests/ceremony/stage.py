"""A rehearsal for tests: a plan, a directory, a scripted operator; runs that end well, pause, fail or are killed."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

from hsm_app.ceremony.custody import combine, parse_custody, recognise, so_pin
from hsm_app.ceremony.gathering import BACK, SAME
from hsm_app.ceremony.room import Room
from hsm_app.ceremony.transcript import Entry, EntryKind, parse_transcript
from hsm_app.evidence.software import encode_software
from hsm_app.operator.ceremonies.hall import Place
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.run import TRANSCRIPT, Ceremony, begin, go_on
from hsm_app.token.station import TokenStation
from tests.ceremony.plans import plan_text
from tests.ceremony.room import ScriptedRoom
from tests.evidence.example_software import SOFTWARE
from tests.token.fresh import softhsm

READ_ALOUD = f"Both readers read the same words: type {SAME}"
KILLED = 77
MAINTAINED = plan_text(custody="maintained")


class Rehearsal:
    """One ceremony on throw-away tokens."""

    def __init__(
        self,
        root: Path,
        plan: str = "",
        clock: Callable[[], int] = lambda: int(time.time()),
        software: bytes = encode_software(SOFTWARE),
        *,
        home: Path | None = None,
    ) -> None:
        self.root = root
        self.ceremony = Ceremony(
            place=Place(root=root, home=home or root, module=softhsm()),
            plan_bytes=(plan or plan_text()).encode(),
            software=software,
            clock=clock,
        )
        self.room = ScriptedRoom(
            {each.asks: each.answer for step in self.ceremony.script.steps for each in step.confirmations}
            | {READ_ALOUD: SAME, BACK.asks: BACK.answer}
        )

    def journal(self) -> Journal:
        return Journal.read(self.root / TRANSCRIPT, self.ceremony.clock)

    def play(self, room: Room | None = None) -> None:
        """Begin, or go on."""
        how = go_on if (self.root / TRANSCRIPT).exists() else begin
        how(self.ceremony, room or self.room)

    def entries(self) -> tuple[Entry, ...]:
        return parse_transcript((self.root / TRANSCRIPT).read_bytes())

    def of(self, kind: EntryKind) -> list[Entry]:
        return [entry for entry in self.entries() if entry.kind is kind]

    def killed_at(self, line: int) -> bool:
        """Play in a process that is gone, as by SIGKILL, when it has written that many lines; say whether it was.

        What custodians wrote down stays: paper survives a crash.
        """
        pid = os.fork()
        if pid == 0:
            os._exit(self._die_at(line))
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, KILLED), f"the run ended with {code}"
        self.room.sheets = json.loads(self._paper.read_text()) if self._paper.exists() else {}
        return code == KILLED

    def killed_to_the_end(self, seed: int, lines: tuple[int, int]) -> int:
        """Kill every run a few lines after it began, until one gets to the end; return how many were killed."""
        after, kills = random.Random(seed), 0
        while self.killed_at(after.randint(*lines)) and self.entries()[-1].kind is not EntryKind.END:
            kills += 1
            assert kills < 100
        return kills

    @property
    def _paper(self) -> Path:
        return self.root.with_suffix(".sheets")

    def _die_at(self, line: int) -> int:
        written = 0
        whole = Journal.write

        def write(journal: Journal, kind: EntryKind, step: str = "", /, **body: object) -> None:
            nonlocal written
            whole(journal, kind, step, **body)
            self._paper.write_text(json.dumps(self.room.sheets))
            written += 1
            if written == line:
                os._exit(KILLED)

        Journal.write = write  # type: ignore[method-assign,assignment]  # of this process only, which ends here
        try:
            self.play()
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
            return 1
        return 0


def officer_opens(rehearsal: Rehearsal, replica: int, secret: bytes) -> bool:
    """Try the officer's PIN that comes from a secret, on the token itself."""
    plan = rehearsal.ceremony.plan
    location = rehearsal.ceremony.place.location(plan, plan.tokens[replica - 1])
    with TokenStation(location) as station:
        return not station.refuses_officer(so_pin(secret, plan.fleet, plan.label(replica)))


def shares(rehearsal: Rehearsal, *names: str) -> bytes:
    custody = parse_custody((rehearsal.root / "custody.json").read_bytes())
    return combine(custody, [recognise(custody, name, rehearsal.room.sheets[name]) for name in names])
