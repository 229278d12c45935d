"""`hsm-vault config`: check configuration files before anything is started with them."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hsm_app.client.check import check_client
from hsm_app.relay.settings import check_relay
from hsm_app.replica.check import check_replica

CHECKS = {"client": check_client, "relay": check_relay, "replica": check_replica}


@click.group()
def config() -> None:
    """Check configuration files."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--kind", type=click.Choice(sorted(CHECKS)), required=True, help="Whose file it is.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def check(file: Path, kind: str, as_json: bool) -> None:
    """Check FILE and all that it points at: keys, types, paths, manifest, fleet keys. Opens no token and no port.

    Ends with 0 and what the file says, or with 3 and what is wrong and what to do.

    Example: hsm-vault config check --kind replica ./fleet/replica-1/replica.toml
    """
    lines = CHECKS[kind](file)
    if as_json:
        click.echo(json.dumps({"file": str(file), "kind": kind, "ok": True, "says": list(lines)}))
        return
    click.echo("\n".join((*lines, f"{file} is well")))
