"""`hsm-vault fleet create`: a whole development fleet on one machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click

from hsm_app.cli.tenant import make_tenant_key
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Argon2Costs, AttemptPolicy, Manifest, TenantKeys
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.model import FleetId
from hsm_app.operator.first_anchors import anchor_stores
from hsm_app.operator.fleet_directory import FleetDirectory, open_fleet_directory
from hsm_app.operator.fleet_files import FleetPlan, write_fleet_files
from hsm_app.operator.genesis import make_fleet
from hsm_app.operator.layout import make_directory
from hsm_app.root_files import read_root_of_trust

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
FIRST_PORT = 7700
TENANT = "demo"
SIZES = ("3", "5", "7", "9")
Say = Callable[[str], None]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--replicas", type=click.Choice(SIZES), default="5", show_default=True, help="Tokens of the fleet.")
@click.option("--fleet-id", default="dev-fleet", show_default=True, help="Name of the fleet, also in account tokens.")
@click.option(
    "--sealed/--maintained",
    default=True,
    show_default=True,
    help="Sealed: nobody can ever add a token. Maintained: whoever holds the security officers' PINs can.",
)
@click.option("--module", type=click.Path(path_type=Path), default=SOFTHSM, show_default=True, help="SoftHSM module.")
@click.option("--ports", default="", help="Comma-separated: the relay's, then two for each replica. [default: 7700 up]")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="Validity of the manifest.")
@click.option(
    "--waits",
    default="0,0,0,30,60,300,600,1800,3600",
    show_default=True,
    help="Seconds to wait after the 1st, 2nd, ... wrong guess in a row.",
)
@click.option("--argon2", default="3,65536,4", show_default=True, help="Argon2id: iterations, memory in KiB, lanes.")
@click.option("--delay", type=click.IntRange(1), default=7 * 86_400, show_default=True,
              help="Seconds before a delete or replace without the owner's signature takes effect.")  # fmt: skip
@click.option(
    "--hourly", default="1000000,1000", show_default=True, help="A tenant's charges and destructions an hour."
)
@click.option(
    "--root-of-trust",
    "trusted",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Whom replicas and clients believe about later manifests; the tokens remember its hash for good.",
)
@click.option(
    "--after",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Directory of the fleet that this one takes over from: it joins its namespace, and that one recovers only.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def create(
    directory: Path,
    replicas: str,
    fleet_id: str,
    sealed: bool,
    module: Path,
    ports: str,
    days: int,
    waits: str,
    argon2: str,
    delay: int,
    hourly: str,
    trusted: Path | None,
    after: Path | None,
    as_json: bool,
) -> None:
    """Make a fleet of SoftHSM tokens below DIRECTORY, which must not hold anything yet.

    This is the development path. The key transport is the real one: every key is made inside a token, and the
    fleet's root travels under an RSA key that the security officer marked TRUSTED. But one person on one machine does
    it, without custodians, attestation or evidence, so the manifest says self-asserted. Do not keep real backups in it.

    With --root-of-trust the fleet's manifest is to be signed by the auditor that the document names, and published:
    see `hsm-vault auditor` and `hsm-vault namespace publish`. Without it, clients pin the manifest.

    \b
    Examples: hsm-vault fleet create ./my-fleet --replicas 5
              hsm-vault fleet create ./my-fleet --root-of-trust root-of-trust.json
              hsm-vault fleet create ./new-fleet --fleet-id fleet-2 --after ./my-fleet
    """
    count, root = int(replicas), directory.resolve()
    say = _quiet if as_json else _say
    say("development path: real PKCS#11 key transport, but one machine and one person hold every PIN while it runs")
    costs = _exactly(3, argon2, "--argon2")
    old = None if after is None else _left(after.resolve(), fleet_id)
    plan = FleetPlan(
        root=root,
        fleet=FleetId(fleet_id),
        module=module,
        sealed=sealed,
        ports=_ports(ports, count),
        days=days,
        argon2=Argon2Costs(iterations=costs[0], memory_kib=costs[1], lanes=costs[2]),
        attempts=_attempts(waits, delay, hourly),
        tenants=() if old is None else old.fleet(old.epochs.current()).tenants,
        trusted=_believed(trusted, old),
        before=None if old is None else old.epochs,
    )
    manifest = _make(plan, count, say)
    digest = manifest.digest.hex()
    if as_json:
        click.echo(json.dumps({"directory": str(root), "fleet": fleet_id, "manifest_sha256": digest}))
        return
    say(f"manifest written: {root / 'manifest.json'} (SHA-256 {digest})")
    for line in _next_steps(plan, old):
        say(line)


def _make(plan: FleetPlan, count: int, say: Say) -> Manifest:
    make_directory(plan.root)
    if not plan.tenants:
        key = make_tenant_key(plan.root / "tenant" / f"{TENANT}.pem", "ES256")
        plan = replace(plan, tenants=(TenantKeys(tenant=TENANT, keys=(key,)),))
    genesis = make_fleet(plan.root, fleet=plan.fleet, count=count, module=plan.module, sealed=plan.sealed, say=say)
    manifest = write_fleet_files(plan, genesis, int(time.time()))
    anchor_stores(plan, manifest, say=say)
    return manifest


def _next_steps(plan: FleetPlan, old: FleetDirectory | None) -> list[str]:
    root = plan.root
    lines = [
        f"next: start each replica with  hsm-vault replica serve --config {root}/replica-N/replica.toml",
        f"      and the relay with       hsm-vault relay serve --config {root}/relay.toml",
    ]
    if plan.trusted is not None:
        lines += [
            "then: have the auditor sign the manifest, counter-sign and log it, and give the bundle to the replicas:",
            f"      hsm-vault namespace publish {root} BUNDLE",
        ]
    if old is not None:
        lines += [
            f"      hsm-vault namespace publish {old.root} BUNDLE",
            f"and tell the relay of the old fleet: [fleets] in its relay.toml, with the groups of {root}/relay.toml",
        ]
    return lines


def _attempts(waits: str, delay: int, hourly: str) -> AttemptPolicy:
    charges, destructions = _exactly(2, hourly, "--hourly")
    return AttemptPolicy(
        maximum=10,
        waits_seconds=_numbers(waits, "--waits"),
        replace_delay_seconds=delay,
        charges_per_hour=charges,
        destructions_per_hour=destructions,
    )


def _ports(ports: str, count: int) -> tuple[int, ...]:
    numbers = _numbers(ports, "--ports") or tuple(range(FIRST_PORT, FIRST_PORT + 2 * count + 1))
    if len(numbers) != 2 * count + 1:
        raise ConfigError(f"--ports names {len(numbers)} ports", f"A fleet of {count} needs {2 * count + 1}")
    return numbers


def _left(directory: Path, fleet_id: str) -> FleetDirectory:
    """Open the directory of the fleet that is to be left. ConfigError when the new one would have its name."""
    opened = open_fleet_directory(directory)
    if fleet_id in {fleet.fleet for fleet in opened.epochs.current().fleets}:
        raise ConfigError(f"the namespace has a fleet {fleet_id} already", "Choose another name with --fleet-id")
    return opened


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


def _exactly(count: int, text: str, option: str) -> tuple[int, ...]:
    numbers = _numbers(text, option)
    if len(numbers) != count:
        raise ConfigError(f"{option} {text!r} needs {count} numbers", "See --help")
    return numbers


def _say(text: str) -> None:
    click.echo(f"  {text}")


def _quiet(text: str) -> None:
    """Say nothing: the result is for a machine."""
