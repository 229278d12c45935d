"""`hsm-vault relay`: run the relay."""

from __future__ import annotations

from pathlib import Path

import click

from hsm_app.cli.serving import serve_until_told
from hsm_app.relay.server import Relay
from hsm_app.relay.settings import read_relay_options


@click.group()
def relay() -> None:
    """Run the relay, the public front door. It holds no key and can read nothing that passes."""


@relay.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The relay's TOML file.")
@click.option("--verbose", is_flag=True, help="Log every connection.")
def serve(config: Path, verbose: bool) -> None:
    """Forward sealed requests to the replicas until told to stop (SIGINT or SIGTERM).

    Example: hsm-vault relay serve --config ./fleet/relay.toml
    """
    options = read_relay_options(config)
    program = Relay(options)
    serve_until_told(program, f"relay ready on {options.listen}", verbose=verbose)
