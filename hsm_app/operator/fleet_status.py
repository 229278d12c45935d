"""Ask every replica of a fleet's directory how it stands, through its operator's door. Blocking."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hsm_app.errors import ConfigError, VaultError
from hsm_app.net.address import Address, parse_address
from hsm_app.operator.door_client import call
from hsm_app.operator.layout import ReplicaFiles
from hsm_app.wire.operator_status import STATUS, StatusReport, decode_status_report


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One replica: its `report`, or the `error` that came instead."""

    replica: int
    report: StatusReport | None = None
    error: str = ""


def look_at(directory: Path) -> list[Seen]:
    """Return how each replica of the directory stands, by number. ConfigError when it is no fleet's directory."""
    numbers = replica_numbers(directory)
    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(lambda number: _look(ReplicaFiles(root=directory, number=number)), numbers))


def replica_numbers(directory: Path) -> list[int]:
    """Return the numbers of the replicas that have a configuration below the directory. ConfigError for none."""
    names = (path.parent.name.removeprefix("replica-") for path in directory.glob("replica-*/replica.toml"))
    numbers = sorted(int(name) for name in names if name.isdecimal())
    if not numbers:
        raise ConfigError(f"{directory} holds no replicas", "Give the directory that `hsm-vault fleet create` made")
    return numbers


def level_majority(seen: Sequence[Seen]) -> bool:
    """Say whether more than half of the replicas are level."""
    return 2 * sum(each.report is not None and each.report.is_level for each in seen) > len(seen)


def _look(files: ReplicaFiles) -> Seen:
    try:
        return Seen(replica=files.number, report=decode_status_report(call(_door(files), STATUS)))
    except VaultError as error:
        return Seen(replica=files.number, error=error.what)


def _door(files: ReplicaFiles) -> Address:
    return parse_address(f"unix:{files.operator}")
