"""Make a fleet on SoftHSM tokens: the development path, with the key transport of the real one.

What is real: every key is made inside a token; the fleet's root travels only under an RSA key that the security
officer of the first token placed as TRUSTED; it is installed on every token, the first included, by unwrapping under a
template that it cannot leave again; transport keys, TRUSTED objects and the original are destroyed; the run ends with
an inventory of every token. What is not: one person and one machine hold all PINs while this runs, there are no
custodians, no attestation and no evidence. The manifest therefore says `self-asserted` on every axis of assurance.

A step that fails ends the run. Nothing is repaired in place: delete the directory and start anew, since a half-made
fleet holds no record yet.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hsm_app.fleet.manifest import Replica
from hsm_app.model import ReplicaId
from hsm_app.operator.layout import ReplicaFiles, prepare_softhsm, write_new
from hsm_app.token.fleet_keys import FleetCommitments, FleetKeys
from hsm_app.token.location import TokenLocation
from hsm_app.token.station import TokenStation

PIN_BYTES = 24
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """What genesis yields: the replicas' public keys, the wrapped fleet keys, and what the manifest commits to."""

    replicas: tuple[Replica, ...]
    fleet_keys: FleetKeys
    commitments: FleetCommitments


def make_fleet(root: Path, *, fleet: str, count: int, module: Path, sealed: bool, say: Say) -> Genesis:
    """Create `count` tokens below `root`, with every key inside them. Raises TokenError or ConfigError."""
    with ExitStack() as stack:
        stations: list[TokenStation] = []
        so_pins: list[str] = []
        for number in range(1, count + 1):
            files = ReplicaFiles(root=root, number=number)
            prepare_softhsm(files)
            location = TokenLocation(module=module, label=f"{fleet}-{number}", softhsm2_conf=files.softhsm2_conf)
            stations.append(stack.enter_context(TokenStation(location)))
            so_pins.append(_initialise(stations[-1], files))
        say(f"{count} tokens initialised, each with a configuration, directory and PINs of its own")
        replicas = tuple(_replica_keys(number, station) for number, station in enumerate(stations, start=1))
        say("replica keys made inside the tokens (identity and link; never extractable)")
        _carry_root(stations, so_pins, sealed=sealed, say=say)
        fleet_keys, commitments = stations[0].make_fleet_keys()
        say("fleet keys made inside token 1 and wrapped under the root (session, OPAQUE, sealing, record ids)")
        for station in stations:
            station.check_fleet_keys(fleet_keys, commitments)
            station.inventory(sealed=sealed)
        say("every token opens the fleet keys; inventories hold what they should and nothing else")
        if not sealed:
            _keep_so_pins(root, so_pins)
    return Genesis(replicas=replicas, fleet_keys=fleet_keys, commitments=commitments)


def _initialise(station: TokenStation, files: ReplicaFiles) -> str:
    so_pin, user_pin = secrets.token_urlsafe(PIN_BYTES), secrets.token_urlsafe(PIN_BYTES)
    station.initialise(so_pin, user_pin)
    write_new(files.pin, user_pin.encode() + b"\n", 0o600)
    return so_pin


def _replica_keys(number: int, station: TokenStation) -> Replica:
    identity, link = station.make_replica_keys()
    return Replica(replica=ReplicaId(number), incarnation=1, identity_public=identity, link_public=link)


def _carry_root(stations: Sequence[TokenStation], so_pins: Sequence[str], *, sealed: bool, say: Say) -> None:
    """Carry the root from the first token to all of them, the first included (a key that was generated keeps the
    rights it was made with; one that was unwrapped has only those of the final template)."""
    first, first_so = stations[0], so_pins[0]
    first.make_root()
    for number, station in enumerate(stations, start=1):
        transport = station.make_transport_key(sealed=sealed)
        first.place_trusted(first_so, transport)
        station.install_root(first.wrap_root(), sealed=sealed)
        say(f"fleet root carried to token {number} under its RSA key, TRUSTED by the security officer of token 1")
    for station, so_pin in zip(stations, so_pins, strict=True):
        station.finish_carry(so_pin)
    say("transport keys, TRUSTED objects and the original root destroyed")
    if sealed:
        say("sealed: the root is not extractable on any token; the security officers' PINs were never written down")


def _keep_so_pins(root: Path, so_pins: Sequence[str]) -> None:
    for number, pin in enumerate(so_pins, start=1):
        write_new(ReplicaFiles(root=root, number=number).directory / "so-pin", pin.encode() + b"\n", 0o600)
