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
from hsm_app.key_files import make_key_file
from hsm_app.signers import make_token_key, read_signer
from hsm_app.token.location import TokenLocation

File = click.Path(path_type=Path, dir_okay=False)


@click.group()
def namespace() -> None:
    """Stand by a manifest that the auditor has signed."""


@namespace.command()
@click.option("--out", type=File, required=True, help="Key file, must not exist yet; .toml for a key in a token.")
@click.option(
    "--algorithm", type=click.Choice([each.value for each in KeyAlgorithm]), default="ES256", show_default=True
)
@click.option("--module", type=File, help="PKCS#11 module of the token that makes and keeps the key.")
@click.option("--token", "label", help="Label of that token.")
@click.option("--softhsm2-conf", type=File, help="SoftHSM's configuration, if the module is it.")
@click.option("--pin-file", type=File, help="File with the user PIN, mode 0600.")
@click.option("--label", "key_label", default="operator-countersign", show_default=True, help="Label of the key.")
def keygen(
    out: Path,
    algorithm: str,
    module: Path | None,
    label: str | None,
    softhsm2_conf: Path | None,
    pin_file: Path | None,
    key_label: str,
) -> None:
    """Make a signing key, in a token or in a file, and print its public part. An auditor's is made the same way.

    Example: hsm-vault namespace keygen --module /usr/lib/softhsm/libsofthsm2.so --token operator --pin-file ./pin
    --out operator.toml
    """
    if module is None:
        key = make_key_file(out, KeyAlgorithm(algorithm)).key
    elif label is None or pin_file is None:
        raise click.UsageError("--module needs --token and --pin-file")
    else:
        location = TokenLocation(module=module, label=label, softhsm2_conf=softhsm2_conf)
        key = make_token_key(out, location, pin_file, key_label, KeyAlgorithm(algorithm))
    click.echo(f"{key.algorithm.value}:{key.public.hex()}")


@namespace.command()
@click.argument("envelope", type=File)
@click.option("--key", type=File, required=True, help="The operator's key file, PEM or .toml.")
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
    write_once(out, sign_countersignature(expected, read, [read_signer(key)]) + b"\n")
    click.echo(f"Counter-signed {expected.namespace}, epoch {expected.epoch}: {out}")
