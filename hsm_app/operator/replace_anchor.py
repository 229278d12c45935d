"""The replica that comes back is told who it is: its manifest, what proves it, and the first anchor of an empty store.

Its token has to be the one that the manifest lists, and shows it by a signature, before it is listed and before it is
anchored. A dead token that nobody lists yet is only replaced by another one; a dead one that an epoch lists is a member
that died, and takes two more epochs (`operator.replace_died`). A living one that is not the listed one must not get the
anchor: that replica could never start.

With the token that it had, its store is moved away before its anchor is exchanged, and never once the anchor is of the
new incarnation.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsm_app.durable import replace_file, sync_directory
from hsm_app.epochs import Epochs, read_manifest
from hsm_app.errors import ConfigError, TokenError
from hsm_app.fleet.manifest import Fleet, Manifest, Replica
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.merkle.anchor import NO_ROOT_OF_TRUST, first_anchor
from hsm_app.model import netstring
from hsm_app.operator.fleet_directory import FleetDirectory
from hsm_app.operator.layout import ReplicaFiles, write_new
from hsm_app.operator.replace_token import kept_settings, location_of
from hsm_app.token.pin import pin_from_file
from hsm_app.token.station import TokenStation

PROOF = "hsm-vault/token-lives/v1"


def check_token(root: Path, fleet: Fleet, member: Replica) -> None:
    """Raise TokenError unless the token in a replica's directory lives and has the member's key. ConfigError."""
    with _opened(ReplicaFiles(root=root, number=member.replica), fleet) as station:
        _prove(station, member)


def begin_anew(directory: FleetDirectory, fleet: Fleet, group: int, member: Replica, manifest: Manifest) -> None:
    """Give a replica that comes back its manifest, what proves it, and the anchor of an empty store.

    TokenError when its token is dead, or another one than the manifest lists; ConfigError when its files are gone.
    """
    root, epochs = directory.root, directory.epochs
    files = ReplicaFiles(root=root, number=member.replica)
    own = Epochs(files.manifest)
    for epoch in (manifest.epoch - 2, manifest.epoch - 1, manifest.epoch):
        if (past := epochs.past(epoch)) is not None:
            own.record(past)
    if (bundle := epochs.bundle(manifest.epoch)) is not None:
        own.keep_bundle(manifest.epoch, bundle)
    own.record_certificates(manifest.epoch - 1, epochs.certificate_files(manifest.epoch - 1))
    anchor = first_anchor(
        fleet=fleet.fleet,
        group=group,
        replica=member.replica,
        incarnation=member.incarnation,
        epoch=manifest.epoch,
        manifest=manifest.digest,
        root_of_trust=NO_ROOT_OF_TRUST if directory.trusted is None else directory.trusted.digest,
    )
    with _opened(files, fleet) as station:
        _prove(station, member)
        if station.anchored_incarnation() != member.incarnation:
            _retire_store(root, files, member)
            station.begin_incarnation(anchor.to_bytes())
    if not files.settings.exists():
        write_new(files.settings, kept_settings(files))
    if not files.manifest.exists() or read_manifest(files.manifest).epoch < manifest.epoch:
        replace_file(files.manifest, manifest.raw)


@contextmanager
def _opened(files: ReplicaFiles, fleet: Fleet) -> Iterator[TokenStation]:
    pin = pin_from_file(files.pin).reveal()
    with TokenStation(location_of(files, fleet)) as station:
        station.open(pin)
        yield station


def _prove(station: TokenStation, member: Replica) -> None:
    challenge = netstring(PROOF, str(member.replica), secrets.token_hex(32)).encode()
    if not RoleKey(KeyAlgorithm.ES256, member.identity_public).holds(challenge, station.sign(challenge)):
        raise TokenError(
            f"the token in the directory of replica {member.replica} is not the one that incarnation "
            f"{member.incarnation} has",
            "Run the command as it was begun, with --same-token or without; what was moved away lies under retired",
        )


def _retire_store(root: Path, files: ReplicaFiles, member: Replica) -> None:
    """Move the store of the incarnation before away, file by file: none of them is of use without the others."""
    retired = root / "retired" / f"replica-{member.replica}-store-{member.incarnation - 1}"
    try:
        for part in sorted(files.directory.glob(f"{files.store.name}*")):
            retired.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.rename(retired / part.name)
        sync_directory(files.directory)
    except OSError as error:
        raise ConfigError(f"cannot move {files.store} away: {error.strerror}", "Check the rights to it") from error
