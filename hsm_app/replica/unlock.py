"""Open the replica's token: PIN, fleet keys, and the proof that both are what the manifest says."""

from __future__ import annotations

from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import Fleet, Manifest
from hsm_app.replica.membership import membership
from hsm_app.replica.settings import ReplicaSettings, TokenSettings
from hsm_app.token.anchor import TokenAnchor
from hsm_app.token.fleet_keys import FleetCommitments, read_fleet_keys
from hsm_app.token.location import TokenLocation
from hsm_app.token.owner import TokenOwner
from hsm_app.token.pin import Pin, pin_from, pin_from_file
from hsm_app.token.replica_token import Pkcs11Token, open_replica_token


def unlock(settings: ReplicaSettings, manifest: Manifest) -> TokenOwner:
    """Open and check the token on an owner thread of its own. Raises ConfigError or TokenError."""
    fleet = manifest.fleet(settings.fleet)
    _, member = membership(fleet, settings)
    location = location_of(settings.token)
    fleet_keys, pin = read_fleet_keys(settings.fleet_keys), read_pin(settings.token)

    def opener() -> Pkcs11Token:
        opened = open_replica_token(location, pin, fleet_keys, commitments_of(fleet))
        opened.check_replica_keys(identity_public=member.identity_public, link_public=member.link_public)
        return opened

    return TokenOwner.start(opener)


def anchor_of(settings: ReplicaSettings, owner: TokenOwner) -> TokenAnchor:
    """Return the memory that an unlocked token has of this replica's store."""
    return TokenAnchor(owner, location_of(settings.token))


def location_of(token: TokenSettings) -> TokenLocation:
    """Return which token the settings mean."""
    return TokenLocation(module=token.module, label=token.label, softhsm2_conf=token.softhsm2_conf)


def commitments_of(fleet: Fleet) -> FleetCommitments:
    """Return what the manifest commits the fleet keys to."""
    return FleetCommitments(
        kem_public=fleet.kem_public,
        opaque_public=fleet.opaque_public,
        seal_check=fleet.seal_check,
        id_check=fleet.id_check,
    )


def check_pin_source(token: TokenSettings) -> None:
    """ConfigError when the settings name more than one place for the PIN, or a file that cannot be one."""
    named = [name for name in ("pin_file", "pin_credential", "pin_env") if getattr(token, name) is not None]
    if len(named) > 1:
        raise ConfigError(f"[token] names {' and '.join(named)}", "Keep one of them")
    if token.pin_file is not None:
        pin_from_file(token.pin_file)


def read_pin(token: TokenSettings) -> Pin:
    """Get the PIN from where the settings say. ConfigError when there is none."""
    check_pin_source(token)
    return pin_from(token.pin_file, token.pin_credential, token.pin_env, f"PIN of token {token.label}: ")
