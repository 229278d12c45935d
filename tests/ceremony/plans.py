"""Plans for tests: made-up people, two of three custodians or as a test wants it."""

from __future__ import annotations

from collections.abc import Sequence

PEOPLE = (
    ("Ada", "administrator"),
    ("Ben", "auditor"),
    ("Cleo", "custodian"),
    ("Dan", "custodian"),
    ("Eve", "custodian"),
)
KEY = "Ed25519:{:064x}"  # of nobody: tests of testimonies use real ones


def plan_text(
    ceremony: str = "genesis",
    *,
    fleet: str = "fleet-1",
    custody: str = "sealed",
    threshold: int = 2,
    replicas: int = 3,
    people: Sequence[tuple[str, str]] = PEOPLE,
    keys: Sequence[str] = (),
    more: str = "",
) -> str:
    """Return a plan of a rehearsal. `keys` are the participants', in their order."""
    keys = keys or [KEY.format(number) for number in range(1, len(people) + 1)]
    head = [
        f'ceremony = "{ceremony}"', 'kind = "rehearsal"', f'fleet = "{fleet}"', f'custody = "{custody}"',
        f"threshold = {threshold}", f"replicas = {replicas}", more,
    ]  # fmt: skip
    for (name, role), key in zip(people, keys, strict=True):
        head += ["[[participant]]", f'name = "{name}"', f'role = "{role}"', f'key = "{key}"']
    return "\n".join(head) + "\n"
