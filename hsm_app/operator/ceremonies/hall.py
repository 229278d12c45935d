"""What the deeds of a ceremony share: the directory, the tokens, the room, and the custodians' secret while it runs.

Nothing here outlives the program but files. The custody secret is in memory from the moment it was made or its shares
were given; after a crash M custodians give them again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsm_app.ceremony.plan import Kind, Plan, PlannedToken
from hsm_app.ceremony.room import Room
from hsm_app.ceremony.script import Confirmation, Step
from hsm_app.errors import ConfigError
from hsm_app.operator.ceremonies.custodians import Custodians
from hsm_app.operator.ceremonies.journal import Journal
from hsm_app.operator.ceremonies.notes import Notes
from hsm_app.operator.fleet_directory import FleetDirectory, open_fleet_directory
from hsm_app.operator.layout import ReplicaFiles, prepare_softhsm, write_new
from hsm_app.token.location import TokenLocation
from hsm_app.token.pin import pin_from_file
from hsm_app.token.station import TokenStation

PIN_BYTES = 24
LAST_TRY = {
    "officer": "one try of the security officer's PIN is left on token {label}; a wrong one locks it for good",
    "user": "one try of the user PIN is left on token {label}; a wrong one locks it, and only the officer unlocks it",
}
GO_ON = "use it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A ceremony's directory on this machine, the fleet's, and the PKCS#11 module of throw-away tokens.

    At a genesis both directories are one; later the fleet has its own.
    """

    root: Path
    home: Path
    module: Path

    def files(self, replica: int) -> ReplicaFiles:
        return ReplicaFiles(root=self.home, number=replica)

    def location(self, plan: Plan, token: PlannedToken) -> TokenLocation:
        """Return where a token is: below the directory in a rehearsal, as planned in a real ceremony."""
        label = plan.label(token.replica)
        if plan.kind is Kind.REHEARSAL:
            files = self.files(token.replica)
            return TokenLocation(module=self.module, label=label, softhsm2_conf=files.softhsm2_conf)
        conf = Path(token.softhsm2_conf) if token.softhsm2_conf else None
        return TokenLocation(module=Path(token.module), label=label, softhsm2_conf=conf)


class Hall:
    """Tokens are opened when they are first needed, each in a process of its own. A context manager."""

    def __init__(self, place: Place, plan: Plan, journal: Journal, room: Room, notes: Notes) -> None:
        self.place, self.plan, self.journal, self.room, self.notes = place, plan, journal, room, notes
        self.custodians = Custodians(place.home, plan, room, notes)
        self._stations: dict[int, TokenStation] = {}
        self._open: set[int] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Hall:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fleet(self) -> FleetDirectory:
        """Return the fleet that the ceremony is about. ConfigError when there is none."""
        return open_fleet_directory(self.place.home)

    def blank(self, replica: int) -> TokenStation:
        """Return a token to which nobody has logged in."""
        if replica not in self._stations:
            token = next(token for token in self.plan.tokens if token.replica == replica)
            files = self.place.files(replica)
            if self.plan.kind is Kind.REHEARSAL and not files.softhsm2_conf.exists():
                prepare_softhsm(files)
            station = TokenStation(self.place.location(self.plan, token), self.notes.heard)
            self._stations[replica] = self._stack.enter_context(station)
        return self._stations[replica]

    def token(self, replica: int) -> TokenStation:
        """Return a token with its user logged in. TokenError, ConfigError when its PIN file is not there."""
        station = self.blank(replica)
        if replica not in self._open:
            self._warn(replica, "user", "the PIN of its file")
            station.open(pin_from_file(self.place.files(replica).pin).reveal())
            self._open.add(replica)
        return station

    def opened(self, replica: int) -> None:
        """Remember that the user of a token is logged in."""
        self._open.add(replica)

    def user_pin(self, replica: int) -> str:
        """Return the user PIN from the replica's file, which is written, durably, before the token hears of it."""
        path = self.place.files(replica).pin
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_new(path, secrets.token_urlsafe(PIN_BYTES).encode() + b"\n", 0o600)
        return pin_from_file(path).reveal()

    def officer_pin(self, replica: int) -> str:
        """Return the security officer's PIN of a token, from the custodians. Warns before a token's last try."""
        self._warn(replica, "officer", "the custodians' PIN")
        return self.custodians.officer_pin(self.plan.label(replica))

    def _warn(self, replica: int, whose: str, pin: str) -> None:
        """Ask before a PIN is given to a token that takes one more try."""
        if self.blank(replica).describe()[whose] == "final":
            warning = LAST_TRY[whose].format(label=self.plan.label(replica))
            self.notes.confirm(Confirmation(f"{warning}. To use {pin}: type {GO_ON}", GO_ON))

    def was_interrupted(self, step: Step) -> bool:
        """Say whether an earlier run began this step and did not finish it."""
        return step.id in self.journal.interrupted

    def result(self, step: str) -> Mapping[str, Any]:
        """Return the results of a step that is done. ConfigError when it is not."""
        found = self.journal.result(step)
        if found is None:
            raise ConfigError(f"step {step} is not done", "Go on with: hsm-vault ceremony resume")
        return found
