"""Check a replica's configuration as far as that is possible without its token's PIN."""

from __future__ import annotations

import time
from pathlib import Path

from hsm_app.epochs import read_manifest
from hsm_app.errors import ConfigError
from hsm_app.fleet.manifest import check_window
from hsm_app.replica.membership import membership
from hsm_app.replica.settings import ReplicaSettings
from hsm_app.replica.unlock import check_pin_source
from hsm_app.settings import read_settings
from hsm_app.store.opening import check_postgres
from hsm_app.store.postgres_place import PostgresPlace
from hsm_app.token.fleet_keys import read_fleet_keys


def check_replica(path: Path) -> tuple[str, ...]:
    """Check everything that the file names; return what it says, a line each. ConfigError for the first fault."""
    settings = read_settings(path, ReplicaSettings)
    manifest = read_manifest(settings.manifest)
    check_window(manifest, int(time.time()))
    fleet = manifest.fleet(settings.fleet)
    membership(fleet, settings)
    fleet_keys = read_fleet_keys(settings.fleet_keys)
    if (fleet_keys.kem.public, fleet_keys.opaque.public) != (fleet.kem_public, fleet.opaque_public):
        raise ConfigError(
            f"{settings.fleet_keys} holds the keys of another fleet", f"Copy the fleet keys of {fleet.fleet} there"
        )
    check_pin_source(settings.token)
    _check_place(settings.votes_in())
    return (
        f"replica   {settings.replica} of fleet {fleet.fleet}, {fleet.state.value}, manifest epoch {manifest.epoch}",
        f"token     {settings.token.label} of {settings.token.module}",
        f"store     {settings.votes_in()}",
        f"clients   {settings.listen.clients}",
        f"peers     {settings.listen.peers}, and {', '.join(map(str, settings.peers.values()))}",
    )


def _check_place(place: Path | PostgresPlace) -> None:
    """Check what the store needs here; no server is asked."""
    if isinstance(place, PostgresPlace):
        check_postgres(place)
    elif not place.parent.is_dir():
        raise ConfigError(f"the directory of store, {place.parent}, does not exist", "Create it")
