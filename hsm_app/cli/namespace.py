"""`hsm-vault namespace`: the operator's part in the manifests of a namespace."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hsm_app.cli.files import check_place, read_whole, write_once
from hsm_app.errors import LogError
from hsm_app.fleet.countersignature import COUNTERSIGNATURE_TYPE, MANIFEST_TYPE, sign_countersignature
from hsm_app.fleet.dsse import Envelope, combine_envelopes, parse_envelope
from hsm_app.fleet.manifest import FleetState
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.publication import changes
from hsm_app.fleet.role_keys import KeyAlgorithm
from hsm_app.fleet.root_of_trust import ROOT_TYPE
from hsm_app.key_files import make_key_file
from hsm_app.operator.fleet_directory import open_fleet_directory
from hsm_app.operator.publication import Publishing, next_manifest, trusted_root
from hsm_app.signers import make_token_key, read_signer
from hsm_app.token.location import TokenLocation

Directory = click.Path(path_type=Path, file_okay=False, exists=True)
DAY = 86_400
File = click.Path(path_type=Path, dir_okay=False)


@click.group()
def namespace() -> None:
    """Manifests from the operator's side: propose the next, stand by a signed one, bring it to the replicas."""


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
    check_place(out)  # or a key would lie in the token that no file names
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


@namespace.command()
@click.argument("envelopes", type=File, nargs=-1, required=True)
@click.option("--out", type=File, required=True, help="Where the envelope with all signatures goes.")
def combine(envelopes: tuple[Path, ...], out: Path) -> None:
    """Put the signatures of ENVELOPES over the same document into one, where a threshold wants several parties.

    For counter-signatures that several operators made of one envelope of the auditor, and for a root of trust that
    auditors and operators signed each at home. Nothing is verified here; `append` and `root-of-trust check` do that.

    Example: hsm-vault namespace combine counter-1.dsse.json counter-2.dsse.json --out counter.dsse.json
    """
    raws = [read_whole(path).strip() for path in envelopes]
    write_once(out, combine_envelopes([_envelope(raw) for raw in raws]) + b"\n")
    click.echo(f"Combined {len(raws)} envelopes: {out}")


def _envelope(raw: bytes) -> Envelope:
    """Read an envelope that several parties may have to sign. LogError for any other."""
    kind = COUNTERSIGNATURE_TYPE if COUNTERSIGNATURE_TYPE.encode() in raw else ROOT_TYPE
    return parse_envelope(raw, kind)


@namespace.command("next")
@click.argument("directory", type=Directory)
@click.option("--out", type=File, required=True, help="Where the manifest goes.")
@click.option("--days", type=click.IntRange(1, 3650), help="Valid so long from now. [default: as the present one]")
@click.option(
    "--state", "states", multiple=True, metavar="FLEET=STATE", help="recover-only or revoked; may be repeated."
)
@click.option(
    "--without", type=int, multiple=True, help="A replica that the present epoch took out, and that stays out for good."
)
def next_epoch(directory: Path, out: Path, days: int | None, states: tuple[str, ...], without: tuple[int, ...]) -> None:
    """Write the manifest that is to follow the present one of the fleet below DIRECTORY. Nothing else changes.

    A fleet in state recover-only takes no new records; one that is revoked is not used any more. There is no way back.
    Have the manifest signed by the auditor, counter-sign and log it, and publish the bundle. While a replica is out and
    is to be replaced, finish that first: it comes back in the epoch right after the one that took it out, or never.

    Example: hsm-vault namespace next ./fleet --days 365 --out manifest-2.json
    """
    opened = open_fleet_directory(directory.resolve())
    trusted_root(opened)
    opened.check_out_for_good(without)
    current, now = opened.epochs.current(), int(time.time())
    not_after = current.not_after if days is None else now + days * DAY
    following = next_manifest(current, now=now, not_after=not_after, states=dict(map(_state, states)))
    for line in changes(current, following):
        click.echo(line)
    write_once(out, following.raw)
    click.echo(f"epoch {following.epoch}: {out} (SHA-256 {following.digest.hex()})")


@namespace.command()
@click.argument("directory", type=Directory)
@click.argument("bundle", type=File)
def publish(directory: Path, bundle: Path) -> None:
    """Give the BUNDLE of the present or the next epoch to the replicas of the fleet below DIRECTORY.

    It is verified as a client would do it, here and by each replica. With the next epoch's, the replicas that run enter
    it; with the present one's they get a newer proof, which clients want before the witnesses' word grows too old.

    Example: hsm-vault namespace publish ./fleet manifest-2.bundle
    """
    opened = open_fleet_directory(directory.resolve())
    work = Publishing(directory=opened, now=int(time.time()), say=lambda text: click.echo(f"  {text}"))
    manifest = work.run(read_whole(bundle))
    click.echo(f"epoch {manifest.epoch} of {manifest.namespace} (SHA-256 {manifest.digest.hex()})")


def _state(text: str) -> tuple[str, FleetState]:
    fleet, _, state = text.rpartition("=")
    if not fleet or state not in {each.value for each in FleetState}:
        raise click.BadParameter(f"{text!r} is not like fleet-1=recover-only", param_hint="--state")
    return fleet, FleetState(state)
