"""What the operator decides about a fleet, as options of the commands that make one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hsm_app.cli.tenant import make_tenant_key
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Argon2Costs, AttemptPolicy, TenantKeys
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.model import FleetId
from hsm_app.operator.fleet_directory import FleetDirectory, open_fleet_directory
from hsm_app.operator.fleet_files import FleetPlan
from hsm_app.operator.tenant import read_private_key, tenant_key_of
from hsm_app.root_files import read_root_of_trust
from hsm_app.token.location import TokenLocation

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
FIRST_PORT = 7700
HIGHEST_PORT = 65_535
TENANT = "demo"

_OPTIONS = (
    click.option(
        "--module", type=click.Path(path_type=Path), default=SOFTHSM, show_default=True, help="SoftHSM module."
    ),
    click.option(
        "--ports",
        default="",
        help="Comma-separated: the relay's, then two for each replica. Of ports in a row the first will do.  "
        "[default: 7700]",
    ),
    click.option(
        "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="Validity of the manifest."
    ),
    click.option(
        "--waits",
        default="0,0,0,30,60,300,600,1800,3600",
        show_default=True,
        help="Seconds to wait after the 1st, 2nd, ... wrong guess in a row.",
    ),
    click.option(
        "--argon2", default="3,65536,4", show_default=True, help="Argon2id: iterations, memory in KiB, lanes."
    ),
    click.option(
        "--delay",
        type=click.IntRange(1),
        default=7 * 86_400,
        show_default=True,
        help="Seconds before a delete or replace without the owner's signature takes effect.",
    ),
    click.option(
        "--hourly", default="1000000,1000", show_default=True, help="A tenant's charges and destructions an hour."
    ),
    click.option(
        "--root-of-trust",
        "trusted",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Whom replicas and clients believe about later manifests; the tokens remember its hash for good.",
    ),
    click.option(
        "--after",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Directory of the fleet that this one takes over from: it joins its namespace; that one recovers only.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """The options as they were typed."""

    module: Path
    ports: str
    days: int
    waits: str
    argon2: str
    delay: int
    hourly: str
    trusted: Path | None
    after: Path | None

    def left(self, fleet_id: str) -> FleetDirectory | None:
        """Open the directory of the fleet that is to be left. ConfigError when the new one would have its name."""
        if self.after is None:
            return None
        opened = open_fleet_directory(self.after.resolve())
        if fleet_id in {fleet.fleet for fleet in opened.epochs.current().fleets}:
            raise ConfigError(f"the namespace has a fleet {fleet_id} already", "Choose another name for the fleet")
        return opened

    def plan(
        self, root: Path, fleet_id: str, count: int, *, sealed: bool, tokens: Mapping[int, TokenLocation] | None = None
    ) -> FleetPlan:
        """Return the plan of a fleet below `root`. ConfigError, as each option says."""
        costs, old = exactly(3, self.argon2, "--argon2"), self.left(fleet_id)
        return FleetPlan(
            root=root,
            fleet=FleetId(fleet_id),
            module=self.module,
            sealed=sealed,
            ports=_ports(self.ports, count),
            days=self.days,
            argon2=Argon2Costs(iterations=costs[0], memory_kib=costs[1], lanes=costs[2]),
            attempts=_attempts(self.waits, self.delay, self.hourly),
            tenants=() if old is None else old.fleet(old.epochs.current()).tenants,
            trusted=_believed(self.trusted, old),
            before=None if old is None else old.epochs,
            tokens=tokens or {},
        )


def fleet_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it gets them as `options`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **values: Any) -> None:
        own = {name: values.pop(name) for name in FleetOptions.__dataclass_fields__}
        command(*args, options=FleetOptions(**own), **values)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def development_tenant(root: Path) -> TenantKeys:
    """Return the development tenant of a fleet, with the key that lies below `root` or a new one."""
    path = root / "tenant" / f"{TENANT}.pem"
    key = tenant_key_of(read_private_key(path)) if path.exists() else make_tenant_key(path, "ES256")
    return TenantKeys(tenant=TENANT, keys=(key,))


def _attempts(waits: str, delay: int, hourly: str) -> AttemptPolicy:
    charges, destructions = exactly(2, hourly, "--hourly")
    return AttemptPolicy(
        maximum=10,
        waits_seconds=_numbers(waits, "--waits"),
        replace_delay_seconds=delay,
        charges_per_hour=charges,
        destructions_per_hour=destructions,
    )


def _ports(ports: str, count: int) -> tuple[int, ...]:
    numbers = _numbers(ports, "--ports") or (FIRST_PORT,)
    if len(numbers) == 1:
        numbers = tuple(range(numbers[0], numbers[0] + 2 * count + 1))
    if len(numbers) != 2 * count + 1:
        raise ConfigError(
            f"--ports names {len(numbers)} ports", f"A fleet of {count} needs {2 * count + 1}, or the first of them"
        )
    if max(numbers) > HIGHEST_PORT:
        raise ConfigError(f"--ports goes up to {max(numbers)}", f"Ports end at {HIGHEST_PORT}")
    return numbers


def _believed(file: Path | None, old: FleetDirectory | None) -> RootOfTrust | None:
    """Return the root of trust of the file, or the one of the namespace that the fleet joins."""
    if old is None:
        return None if file is None else read_root_of_trust(file)
    if old.trusted is None or file is not None:
        raise ConfigError(
            "a fleet joins a namespace under the root of trust that this has",
            "Leave --root-of-trust out; and a fleet that was made without one has no namespace to join",
        )
    return old.trusted


def _numbers(text: str, option: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise ConfigError(f"{option} {text!r} is not a list of whole numbers", "Write them like 1,2,3")
    return tuple(int(word) for word in words)


def exactly(count: int, text: str, option: str) -> tuple[int, ...]:
    numbers = _numbers(text, option)
    if len(numbers) != count:
        raise ConfigError(f"{option} {text!r} needs {count} numbers", "See --help")
    return numbers
