"""`hsm-vault witness`: cosign the checkpoints of logs that only ever grow."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hsm_app.cli.serving import serve_until_told
from hsm_app.net.address import parse_address
from hsm_app.net.http import HttpProgram
from hsm_app.tlog.note import VerifierKey
from hsm_app.tlog.witness_exchange import LIMIT
from hsm_app.witness.service import answering
from hsm_app.witness.settings import create_witness, open_witness


@click.group()
def witness() -> None:
    """Cosign what logs show, each only when it continues what it showed before.

    A witness belongs to neither auditor nor operator: it is what keeps a log from showing two histories.
    """


@witness.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", required=True, help="The witness's name for ever, such as witness.example; no scheme.")
@click.option("--log", "logs", multiple=True, required=True, help="Verifier key of a log to witness; may be repeated.")
def init(directory: Path, name: str, logs: tuple[str, ...]) -> None:
    """Make a witness: an Ed25519 key in a file and a configuration, in a new DIRECTORY. Prints its verifier key.

    Example: hsm-vault witness init ./witness --name witness.example --log log.example/fleets+5e...
    """
    click.echo(create_witness(directory, name, tuple(map(VerifierKey.parse, logs))).text)


@witness.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--listen", default="127.0.0.1:8490", show_default=True, help="host:port.")
@click.option("--verbose", is_flag=True, help="Log more.")
def serve(directory: Path, listen: str, verbose: bool) -> None:
    """Answer logs (POST /add-checkpoint) and monitors (GET /HASH/checkpoint) until told to stop.

    Example: hsm-vault witness serve ./witness --listen 127.0.0.1:8490
    """
    address = parse_address(listen)
    opened = open_witness(directory)
    program = HttpProgram(address, answering(opened, lambda: int(time.time())), body_limit=LIMIT, closing=opened.close)
    serve_until_told(program, f"witness ready on http://{address}", verbose=verbose)
