"""`hsm-vault namespace`: the operator's part in the manifests of a namespace."""

from __future__ import annotations

from pathlib import Path

import click

from hsm_app.cli.files import read_whole, write_once
from hsm_app.errors import LogError
from hsm_app.fleet.countersignature import MANIFEST_TYPE, sign_countersignature
from hsm_app.fleet.dsse import parse_envelope
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.role_keys import KeyAlgorithm
from hsm_app.key_files import make_key_file, read_key_file

File = click.Path(path_type=Path, dir_okay=False)


@click.group()
def namespace() -> None:
    """Stand by a manifest that the auditor has signed."""


@namespace.command()
@click.option("--out", type=File, required=True, help="Private key file, must not exist yet.")
def keygen(out: Path) -> None:
    """Make an operator's counter-signing key (ECDSA P-256) in a file, and print its public part.

    Example: hsm-vault namespace keygen --out operator.pem
    """
    made = make_key_file(out, KeyAlgorithm.ES256)
    click.echo(f"{made.key.algorithm.value}:{made.key.public.hex()}")


@namespace.command()
@click.argument("envelope", type=File)
@click.option("--key", type=File, required=True, help="The operator's private key file.")
@click.option("--manifest", type=File, required=True, help="The manifest that you expect in the envelope.")
@click.option("--out", type=File, required=True, help="Where the counter-signature goes.")
def countersign(envelope: Path, key: Path, manifest: Path, out: Path) -> None:
    """Counter-sign the auditor's ENVELOPE, when it holds the manifest that you have on file, byte for byte.

    Example: hsm-vault namespace countersign manifest.dsse.json --key operator.pem --manifest manifest.json
    --out counter.dsse.json
    """
    read = parse_envelope(read_whole(envelope).strip(), MANIFEST_TYPE)
    expected = parse_manifest(read_whole(manifest))
    if read.payload != expected.raw:
        raise LogError("digest", f"{envelope} holds another manifest than {manifest}", "Ask the auditor why")
    write_once(out, sign_countersignature(expected, read, [read_key_file(key)]) + b"\n")
    click.echo(f"Counter-signed {expected.namespace}, epoch {expected.epoch}: {out}")
