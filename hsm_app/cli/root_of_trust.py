"""`hsm-vault root-of-trust`: the document by which clients know whom to believe."""

from __future__ import annotations

import time
from pathlib import Path

import click

from hsm_app.cli.files import read_whole, write_once
from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.dsse import sign_envelope
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.fleet.root_of_trust import (
    ROOT_TYPE,
    Role,
    RootOfTrust,
    check_expiry,
    encode_root_of_trust,
    parse_root_of_trust,
    successor,
)
from hsm_app.signers import read_signer
from hsm_app.tlog.note import VerifierKey
from hsm_app.tlog.policy import NONE, parse_policy

DAY = 86_400
File = click.Path(path_type=Path, dir_okay=False)


@click.group("root-of-trust")
def root_of_trust() -> None:
    """Make and check the document by which clients know whom to believe."""


@root_of_trust.command()
@click.option("--namespace", required=True, help="Namespace of the manifests.")
@click.option("--auditor", "auditors", multiple=True, required=True, help="Ed25519:HEX or ES256:HEX; may be repeated.")
@click.option(
    "--auditor-threshold", type=click.IntRange(1), default=1, show_default=True, help="How many have to sign."
)
@click.option("--operator", "operators", multiple=True, required=True, help="The same, of operators.")
@click.option("--operator-threshold", type=click.IntRange(1), default=1, show_default=True, help="The same.")
@click.option("--log", "log_key", required=True, help="Verifier key of the log; its name is the log's origin.")
@click.option("--policy", type=File, required=True, help="C2SP tlog-policy: witness, group and quorum lines.")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True, help="One more than the last one's.")
@click.option("--minimum-epoch", type=click.IntRange(1), default=1, show_default=True, help="Older ones are refused.")
@click.option("--cosigned-within", type=click.IntRange(1), default=7, show_default=True, help="Days.")
@click.option("--valid", type=click.IntRange(1), default=730, show_default=True, help="Days.")
@click.option("--out", type=File, required=True, help="Where the document goes.")
def create(
    namespace: str,
    auditors: tuple[str, ...],
    auditor_threshold: int,
    operators: tuple[str, ...],
    operator_threshold: int,
    log_key: str,
    policy: Path,
    version: int,
    minimum_epoch: int,
    cosigned_within: int,
    valid: int,
    out: Path,
) -> None:
    """Write a document. Clients are shipped with the first one; each later one is signed with `root-of-trust sign`.

    Example: hsm-vault root-of-trust create --namespace vault.example --auditor Ed25519:8a... --operator ES256:02...
    --log log.example/fleets+5e... --policy witnesses.txt --out root-of-trust.json
    """
    now = int(time.time())
    document = encode_root_of_trust(
        namespace=namespace,
        version=version,
        issued_at=now,
        expires_at=now + valid * DAY,
        auditors=Role(auditor_threshold, tuple(map(_key, auditors))),
        operators=Role(operator_threshold, tuple(map(_key, operators))),
        origin=log_key.split("+", 1)[0],
        policy=_policy_lines(policy, log_key),
        minimum_epoch=minimum_epoch,
        maximum_age=cosigned_within * DAY,
    )
    write_once(out, document)
    if parse_root_of_trust(document).policy.quorum == NONE:
        click.echo(
            "quorum none: nobody keeps the log from showing two histories, or an old one to a new device", err=True
        )
    click.echo(f"{out}: version {version} of {namespace}, SHA-256 {parse_root_of_trust(document).digest.hex()}")


@root_of_trust.command()
@click.argument("document", type=File)
@click.option("--key", "keys", type=File, multiple=True, required=True, help="Key file, PEM or .toml; may be repeated.")
@click.option("--out", type=File, required=True, help="Where the signed envelope goes.")
def sign(document: Path, keys: tuple[Path, ...], out: Path) -> None:
    """Sign a DOCUMENT that is to follow another one, with the keys of the old and the new auditors and operators.

    Example: hsm-vault root-of-trust sign root-2.json --key auditor.pem --key operator.pem --out root-2.dsse.json
    """
    raw = read_whole(document)
    parse_root_of_trust(raw)
    write_once(out, sign_envelope(ROOT_TYPE, raw, [read_signer(key) for key in keys]) + b"\n")
    click.echo(f"Signed with {len(keys)} keys: {out}")


@root_of_trust.command()
@click.argument("document", type=File)
@click.argument("successors", type=File, nargs=-1)
@click.option("--out", type=File, help="Where the last document goes, to be trusted from now on.")
def check(document: Path, successors: tuple[Path, ...], out: Path | None) -> None:
    """Check a trusted DOCUMENT and walk to the last of its SUCCESSORS, in their order. The last must not be over.

    Example: hsm-vault root-of-trust check root-1.json root-2.dsse.json root-3.dsse.json --out root-3.json
    """
    trusted = parse_root_of_trust(read_whole(document))
    for path in successors:
        trusted = successor(trusted, read_whole(path).strip())
    check_expiry(trusted, int(time.time()))
    if out is not None:
        write_once(out, trusted.raw)
    _show(trusted)


def _show(document: RootOfTrust) -> None:
    click.echo(f"{document.namespace}, version {document.version}, SHA-256 {document.digest.hex()}")
    for name, role in (("auditor", document.auditors), ("operator", document.operators)):
        for key in role.keys:
            click.echo(f"  {name} ({role.threshold} of {len(role.keys)})  {key.algorithm.value}:{key.public.hex()}")
    for line in document.policy_lines:
        click.echo(f"  {line}")


def _policy_lines(path: Path, log_key: str) -> list[str]:
    """Return a document's policy: the log's line, and the file's. LogError names the file and the line in it."""
    text = read_whole(path).decode(errors="replace")
    try:
        own = parse_policy(text)
    except LogError as error:
        raise LogError(error.check, f"{path}: {error.what}", error.todo) from None
    taken = {endpoint.key.public for endpoint in (*own.logs, *own.witnesses.values())}
    if VerifierKey.parse(log_key).public in taken:
        raise LogError("witnesses", f"{path} has the key of --log already", "Take its line out: this command adds it")
    return [f"log {log_key}", *(line for line in text.splitlines() if line.strip())]


def _key(text: str) -> RoleKey:
    algorithm, _, public = text.partition(":")
    try:
        return RoleKey(KeyAlgorithm(algorithm), bytes.fromhex(public))
    except ValueError:
        raise ConfigError(f"{text[:80]!r} is no public key", "Write Ed25519:HEX or ES256:HEX") from None
