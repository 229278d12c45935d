"""The custodians at the screen, one after the other: shares are given out and checked, or typed in to be used.

A share is on the screen for its custodian only, and in memory until it was typed back. What is wrong with a share is
told to the custodian in full, and to the record without any word of it.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from hsm_app.ceremony.custody import (
    IDENTIFIER_BITS,
    SALT_BYTES,
    SECRET_BYTES,
    CustodianShare,
    Custody,
    combine,
    parse_custody,
    recognise,
    so_pin,
    split,
)
from hsm_app.ceremony.plan import Plan
from hsm_app.ceremony.room import Room
from hsm_app.durable import replace_file
from hsm_app.errors import ConfigError
from hsm_app.operator.ceremonies.notes import Notes

CUSTODY = "custody.json"
WHO = "Which custodian comes to the screen? "


class Custodians:
    """`secret` is None until it was made or given."""

    def __init__(self, root: Path, plan: Plan, room: Room, notes: Notes) -> None:
        self._path, self._plan, self._room, self._notes = root / CUSTODY, plan, room, notes
        self._secret: bytes | None = None

    def make(self) -> Custody:
        """Make the secret, give each custodian a share, and keep the commitments. Old sheets are void from here on."""
        names = [person.name for person in self._plan.custodians]
        secret = secrets.token_bytes(SECRET_BYTES)
        salts = [(name, secrets.token_bytes(SALT_BYTES)) for name in names]
        identifier = secrets.randbits(IDENTIFIER_BITS)
        custody, shares = split(secret, self._plan.fleet, self._plan.threshold, salts, identifier)
        for share in shares:
            self._room.show_share(share.custodian, share.words)
            self._typed(custody, share.custodian)
        if combine(custody, shares) != secret:
            raise ConfigError("the shares do not give the secret back", "Stop: this machine or its software is broken")
        replace_file(self._path, custody.to_bytes())
        self._secret = secret
        return custody

    def gather(self) -> list[str]:
        """Have shares typed until there are enough; return whose they were. ConfigError without custody.json."""
        custody = self._custody()
        given: dict[str, CustodianShare] = {}
        while len(given) < custody.threshold:
            self._room.say(f"{len(given)} of {custody.threshold} shares are given.")
            who = self._room.ask(WHO)
            if who in given or who not in {each.custodian for each in custody.shares}:
                wrong = "has given the share already" if who in given else "is no custodian of this fleet"
                self._notes.excuse(f"{who[:100]!r} {wrong}")
                continue
            given[who] = self._typed(custody, who)
        self._secret = combine(custody, list(given.values()))
        return list(given)

    def officer_pin(self, label: str) -> str:
        """Return a token's officer's PIN; custodians are asked for their shares when the secret is not in memory."""
        if self._secret is None:
            self._room.say("The program was started anew, and needs the custodians' secret again.")
            self.gather()
        if self._secret is None:
            raise ConfigError("the custodians' secret is not there", "Give the shares")
        return so_pin(self._secret, self._plan.fleet, label)

    def _typed(self, custody: Custody, custodian: str) -> CustodianShare:
        """Return the custodian's share as typed; each wrong one is named, on the screen and on an exception sheet."""
        while True:
            try:
                return recognise(custody, custodian, self._room.ask_share(custodian))
            except ConfigError as error:
                self._room.say(str(error))
                self._notes.excuse(f"a share that {custodian} typed was not taken: {error.what}")

    def _custody(self) -> Custody:
        try:
            raw = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(
                f"cannot read {self._path}: {error.strerror}", "Put the fleet's custody.json there"
            ) from error
        custody = parse_custody(raw)
        if custody.fleet != self._plan.fleet:
            raise ConfigError(
                f"{self._path} is of fleet {custody.fleet}", f"Put the custody.json of {self._plan.fleet} there"
            )
        return custody
