"""`hsm-vault replica`: run one replica."""

from __future__ import annotations

from pathlib import Path

import click

from hsm_app.cli.serving import serve_until_told
from hsm_app.epochs import read_manifest
from hsm_app.replica.host import ReplicaHost
from hsm_app.replica.settings import ReplicaSettings
from hsm_app.replica.unlock import anchor_of, unlock
from hsm_app.settings import read_settings


@click.group()
def replica() -> None:
    """Run a replica, the HSM application of one token."""


@replica.command()
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The replica's TOML file."
)
@click.option("--verbose", is_flag=True, help="Log every connection.")
def serve(config: Path, verbose: bool) -> None:
    """Open the token and answer requests until told to stop (SIGINT or SIGTERM).

    The PIN comes from where [token] says: pin_file, pin_credential or pin_env; with none of them it is asked for.

    Example: hsm-vault replica serve --config ./fleet/replica-1/replica.toml
    """
    settings = read_settings(config, ReplicaSettings)
    manifest = read_manifest(settings.manifest)
    tokens = unlock(settings, manifest)
    try:
        program = ReplicaHost(settings, tokens, anchor_of(settings, tokens))
        serve_until_told(program, f"replica {settings.replica} ready on {settings.listen.clients}", verbose=verbose)
    finally:
        tokens.close()
