"""The token of a replica that comes back: a fresh one in a maintained fleet, or the one it had.

A fresh token gets everything as at genesis (`operator.genesis`): keys of its own, and the fleet's root under its RSA
key, which the security officer of a living replica's token marks as TRUSTED for that moment. On SoftHSM that replica
goes on running meanwhile, since each process has its own view of a token's sessions; a device whose officer excludes
other sessions makes this fail with a TokenError, and then that replica has to be stopped for the carry.

Crash-safe by order. The old directory is moved away first, in one rename; what is begun in its place counts as soon as
`keys.json` is written, after the last check of the token; without that file it is removed and begun anew. A carry that
was interrupted leaves a TRUSTED public key on the living token, which the next carry removes. Once a manifest lists the
successor nothing is made or moved here any more: its token is the one that is listed (`operator.replace`).
"""

from __future__ import annotations

import json
import secrets
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hsm_app.durable import replace_file, sync_directory
from hsm_app.errors import ConfigError, TokenError
from hsm_app.fleet.manifest import Fleet, Group, Replica
from hsm_app.fleet.strict_json import load_document
from hsm_app.model import ReplicaId
from hsm_app.operator.genesis import PIN_BYTES
from hsm_app.operator.layout import ReplicaFiles, prepare_softhsm, write_new
from hsm_app.token.fleet_keys import FleetCommitments, read_fleet_keys
from hsm_app.token.location import TokenLocation
from hsm_app.token.pin import pin_from_file
from hsm_app.token.station import TokenStation

Say = Callable[[str], None]
SO_PIN = "so-pin"
KEYS = "keys.json"
KEYS_SCHEMA = "hsm-vault/replica-keys/v1"


def fresh_member(root: Path, fleet: Fleet, old: Replica, donors: Group, *, say: Say) -> Replica:
    """Make a token for the successor of `old`, or find it made; return its entry. TokenError, ConfigError.

    `donors` are the living members; the root comes from the first whose security officer's PIN is there.
    """
    files = ReplicaFiles(root=root, number=old.replica)
    made = _made(files, old)
    if made is not None:
        say(f"the fresh token of replica {old.replica} is there already")
        return made
    donor, retired = _donor(root, donors), retired_directory(root, old)  # without a donor nothing is touched
    set_aside(files.directory, retired)
    say(f"the directory of the old replica {old.replica} was moved to {retired}")
    member = _make_token(files, donor, fleet, old, say)
    write_new(files.settings, kept_settings(files))
    write_keys(files.directory / KEYS, member)
    return member


def made_member(root: Path, old: Replica) -> Replica:
    """Return the successor of `old` that was made. ConfigError when there is none."""
    made = _made(ReplicaFiles(root=root, number=old.replica), old)
    if made is None:
        raise ConfigError(
            f"no fresh token of replica {old.replica} was made, and no epoch lists one",
            "Leave out --new-token-died; and --same-token too, if the token that it had died",
        )
    return made


def discard_member(root: Path, old: Replica, donors: Group) -> None:
    """Remove the successor of `old`, which no manifest lists, so that another one is made.

    TokenError, and nothing is changed, where only a ceremony can make another one: it sets this one aside by itself.
    """
    _donor(root, donors)
    set_aside(ReplicaFiles(root=root, number=old.replica).directory, retired_directory(root, old))


def retired_directory(root: Path, old: Replica) -> Path:
    """Return where the directory of a replica's incarnation goes."""
    return root / "retired" / f"replica-{old.replica}-incarnation-{old.incarnation}"


def same_member(old: Replica) -> Replica:
    """Return the entry of a replica that comes back with its token."""
    return replace(old, incarnation=old.incarnation + 1)


def _make_token(files: ReplicaFiles, donor: ReplicaFiles, fleet: Fleet, old: Replica, say: Say) -> Replica:
    prepare_softhsm(files)
    so_pin, user_pin = secrets.token_urlsafe(PIN_BYTES), secrets.token_urlsafe(PIN_BYTES)
    write_new(files.pin, user_pin.encode() + b"\n", 0o600)
    write_new(files.directory / SO_PIN, so_pin.encode() + b"\n", 0o600)
    donor_so = (donor.directory / SO_PIN).read_text().strip()
    with TokenStation(location_of(files, fleet)) as fresh, TokenStation(location_of(donor, fleet)) as living:
        fresh.initialise(so_pin, user_pin)
        identity, link = fresh.make_replica_keys()
        say("fresh token initialised, replica keys made inside it")
        living.open(pin_from_file(donor.pin).reveal())
        living.place_trusted(donor_so, fresh.make_transport_key(sealed=False))
        fresh.install_root(living.wrap_root(), sealed=False)
        fresh.finish_carry(so_pin)
        living.finish_carry(donor_so)
        say(
            f"fleet root carried from the token of replica {donor.number}, TRUSTED by its security officer; "
            "the keys of the carry destroyed"
        )
        keys = read_fleet_keys(files.root / "fleet-keys.bin")
        fresh.check_fleet_keys(keys, commitments_of(fleet))
        fresh.inventory(sealed=False)
        say("the fresh token opens the fleet keys; its inventory holds what it should and nothing else")
    return Replica(replica=old.replica, incarnation=old.incarnation + 1, identity_public=identity, link_public=link)


def _donor(root: Path, living: Group) -> ReplicaFiles:
    for member in living.replicas:
        files = ReplicaFiles(root=root, number=member.replica)
        if (files.directory / SO_PIN).exists():
            return files
    raise TokenError(
        f"no living replica's {SO_PIN} lies in its directory",
        "Play the ceremony replace-token with the custodians first: only a security officer can let the root travel",
    )


def kept_settings(files: ReplicaFiles) -> bytes:
    """Return a replica's settings, or those that were moved away last. ConfigError when there are none."""
    retired = (files.root / "retired").glob(f"replica-{files.number}-incarnation-*/{files.settings.name}")
    newest = sorted(retired, key=lambda path: int(path.parent.name.rpartition("-")[2]))
    if not newest and not files.settings.exists():
        raise ConfigError(
            f"the settings of replica {files.number} are gone, and none lie under {files.root / 'retired'}",
            f"Write {files.settings} anew, as another replica's is, then run this command again",
        )
    return (files.settings if files.settings.exists() else newest[-1]).read_bytes()


def location_of(files: ReplicaFiles, fleet: Fleet) -> TokenLocation:
    """Return which token a replica's settings name."""
    module = Path(tomllib.loads(kept_settings(files).decode())["token"]["module"])
    return TokenLocation(module=module, label=f"{fleet.fleet}-{files.number}", softhsm2_conf=files.softhsm2_conf)


def set_aside(directory: Path, retired: Path) -> None:
    """Move a replica's directory away in one rename; what was begun in its place by an earlier run goes.

    A directory that is gone, with its machine, leaves an empty one behind, so that what is begun next is known as that.
    """
    try:
        retired.parent.mkdir(mode=0o700, exist_ok=True)
        if retired.exists():
            shutil.rmtree(directory, ignore_errors=True)  # begun and not finished: nothing refers to it yet
        elif directory.exists():
            directory.rename(retired)
        else:
            retired.mkdir(mode=0o700)
        sync_directory(retired.parent)
        sync_directory(directory.parent)
    except OSError as error:
        raise ConfigError(f"cannot move {directory} away: {error.strerror}", "Check the rights to it") from error


def commitments_of(fleet: Fleet) -> FleetCommitments:
    """Return what the manifest commits to of the fleet's keys."""
    return FleetCommitments(
        kem_public=fleet.kem_public,
        opaque_public=fleet.opaque_public,
        seal_check=fleet.seal_check,
        id_check=fleet.id_check,
    )


def write_keys(path: Path, member: Replica) -> None:
    """Write down the successor's entry: from here on its token counts as made."""
    document = {
        "schema": KEYS_SCHEMA,
        "replica": member.replica,
        "incarnation": member.incarnation,
        "identity_public": member.identity_public.hex(),
        "link_public": member.link_public.hex(),
    }
    replace_file(path, json.dumps(document, indent=1).encode() + b"\n")


def _made(files: ReplicaFiles, old: Replica) -> Replica | None:
    """Return the entry of the successor of `old` whose token was made; None while there is none."""
    made = _read_keys(files.directory / KEYS)
    return made if made is not None and made.incarnation == old.incarnation + 1 else None


def _read_keys(path: Path) -> Replica | None:
    if not path.exists():
        return None
    of = load_document(path.read_bytes(), str(path), 4096).members(
        "schema", "replica", "incarnation", "identity_public", "link_public"
    )
    of("schema").one_of({KEYS_SCHEMA: KEYS_SCHEMA})
    return Replica(
        replica=ReplicaId(of("replica").integer(1, 255)),
        incarnation=of("incarnation").integer(1, 2**32 - 1),
        identity_public=of("identity_public").hexadecimal(33),
        link_public=of("link_public").hexadecimal(33),
    )
