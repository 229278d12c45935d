"""What one record owes its clients: kept from the answers they got, and compared with every next answer.

Pure. `Ledger` counts charges as an interval. What was answered is certain; a start whose client did not wait for the
answer is a *ghost*, which may charge once, at any later time, or never (a stopped replica may still hold the message).
An answer that no history within the interval explains is a `Broken` promise. A replay is not counted: evaluating the
KE1 of one attempt id again is no guess.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hsm_app.errors import DenyReason

MAXIMUM = 10
GHOST_SECONDS = 60.0  # twice what any copy of a message can live: relay and replicas give up long before


class Broken(Exception):
    """The vault broke a promise to a client."""


@dataclass(slots=True)
class Ledger:
    """One record. `state` is the vault's word for it; `code`, `secret`, `owner_key` belong to what is live."""

    name: str
    state: str = "empty"
    generation: int = 0
    code: str = ""
    secret: bytes = field(default=b"", repr=False)
    owner_key: bytes = field(default=b"", repr=False)
    spent: int = 0  # certain charges after the latest success
    ghosts: list[float] = field(default_factory=list)  # when each was sent
    was_deleted: bool = False  # a late copy of that message may bury what is destroyed by then

    @property
    def spent_at_most(self) -> int:
        return self.spent + len(self.ghosts)

    def activated(self, generation: int, code: str, secret: bytes, owner_key: bytes) -> None:
        """A registration or change was acknowledged."""
        self._rises(generation)
        self.state, self.generation, self.spent = "active", generation, 0
        self.code, self.secret, self.owner_key = code, secret, owner_key

    def deleted(self, generation: int) -> None:
        self._rises(generation)
        self.state, self.generation, self.spent, self.was_deleted = "deleted", generation, 0, True

    def abandoned(self, now: float) -> None:
        """A start was sent, and its client went away."""
        self.ghosts.append(now)

    def evaluated(self) -> None:
        """A KE2 came for a new attempt: one more guess was granted, and charged."""
        self.spent += 1
        if self.state != "active":
            raise self._broken(f"a guess was evaluated on a record that is {self.state}")
        if self.spent > MAXIMUM:
            raise self._broken(f"guess number {self.spent} since the last success was evaluated")

    def opened(self, secret: bytes, generation: int, now: float) -> None:
        """A right code was proved, and this came back."""
        if self.state != "active" or secret != self.secret:
            raise self._broken("another secret came back than the one that was acknowledged")
        if generation != self.generation:
            raise self._broken(f"recovered from generation {generation}, acknowledged was {self.generation}")
        self.spent = 0
        self.ghosts = [sent for sent in self.ghosts if now - sent < GHOST_SECONDS]

    def reopened(self, secret: bytes) -> None:
        """A finish that had succeeded was repeated: it returns the payload, and gives nothing back."""
        if secret != self.secret:
            raise self._broken("a repeated finish returned another secret")

    def guessed_wrong(self, left: int | None) -> None:
        """A wrong code was told as such, with `left` guesses left."""
        least, most = max(0, MAXIMUM - self.spent_at_most), MAXIMUM - self.spent
        if left is None or not least <= left <= most:
            raise self._broken(f"{left} guesses are left, which should be {least} to {most}")
        if left == 0 and not self.ghosts:  # a ghost may have charged after this guess, which then was not the last
            self.state = "destroyed"

    def refused(self, reason: DenyReason) -> None:
        """A start or finish of a recovery was refused."""
        if reason is DenyReason.DESTROYED and (self.state == "destroyed" or self._may_be_spent()):
            self.state = "destroyed"
        elif not (reason is DenyReason.NO_RECORD and (self.state in ("empty", "deleted") or self._may_be_buried())):
            raise self._broken(f"refused with {reason.name}")

    def told(self, state: str, generation: int, left: int) -> None:
        """A signed status came."""
        if state == "destroyed" and self.state == "active" and self._may_be_spent():
            self.state = "destroyed"
        if state == "deleted" and self._may_be_buried():
            self.state = "deleted"
        if state != self.state or generation < self.generation:
            raise self._broken(f"status says {state} at generation {generation}")
        if state != "active":
            return
        least, most = max(0, MAXIMUM - self.spent_at_most), MAXIMUM - self.spent
        if generation != self.generation or not least <= left <= most:
            raise self._broken(
                f"status says generation {generation} and {left} left, which should be {least} to {most}"
            )

    def _may_be_spent(self) -> bool:
        return self.state == "active" and self.spent_at_most >= MAXIMUM

    def _may_be_buried(self) -> bool:
        return self.state == "destroyed" and self.was_deleted

    def _rises(self, generation: int) -> None:
        if generation <= self.generation:
            raise self._broken(f"generation {generation} was acknowledged after {self.generation}")

    def _broken(self, what: str) -> Broken:
        return Broken(
            f"{self.name} ({self.state}, generation {self.generation}, {self.spent} to {self.spent_at_most} charged): "
            f"{what}"
        )
