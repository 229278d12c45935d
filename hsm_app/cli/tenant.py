"""`hsm-vault tenant`: a tenant's signing key, and account tokens for development. Nothing here talks to a fleet."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click

from hsm_app.cli.files import check_place
from hsm_app.fleet.account import LIFETIME, Scope
from hsm_app.fleet.manifest import TenantAlgorithm
from hsm_app.operator.tenant import (
    issue_account_token,
    listed_fleets,
    make_tenant_key,
    read_private_key,
    replace_token_file,
    tenant_key_of,
)

__all__ = ["make_tenant_key", "tenant"]


@click.group()
def tenant() -> None:
    """Make tenant keys and account tokens, for development."""


@tenant.command()
@click.option(
    "--alg",
    type=click.Choice([alg.value for alg in TenantAlgorithm]),
    default="ES256",
    show_default=True,
    help="Algorithm.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Private key file, must not exist yet.")
@click.option("--json", "as_json", is_flag=True, help="Print nothing but the manifest entry.")
def keygen(alg: str, out: Path, as_json: bool) -> None:
    """Make a signing key and print the entry of it that the fleet's manifest needs.

    Example: hsm-vault tenant keygen --alg EdDSA --out tenant.pem
    """
    key = make_tenant_key(out, alg)
    entry = json.dumps({"kid": key.kid, "alg": key.alg.value, "public_key": key.public_key.hex()})
    if not as_json:
        click.echo(f"Private key written to {out}. Whoever holds it can name any account of the tenant: keep it so.")
        click.echo("Entry for `keys` of the tenant in the fleet's manifest:")
    click.echo(entry)


@tenant.command()
@click.option("--key", "key_file", type=click.Path(path_type=Path), required=True, help="The tenant's private key.")
@click.option("--tenant", "tenant_name", required=True, help="Name of the tenant in the manifest.")
@click.option("--account", required=True, help="Account that the bearer speaks for.")
@click.option(
    "--manifest", type=click.Path(path_type=Path), help="Manifest of the fleet; checks that it lists the key."
)
@click.option(
    "--fleet-id", "fleet_ids", multiple=True, help="Fleet the token is for; may be repeated. [default: the manifest's]"
)
@click.option("--scope", "scopes", multiple=True, type=click.Choice(Scope.ALL), help="Allow this. [default: all]")
@click.option("--lifetime", type=click.IntRange(1, LIFETIME), default=LIFETIME, show_default=True, help="In seconds.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the token here (mode 0600) instead of printing it.")
@click.option("--json", "as_json", is_flag=True, help="Print the token with its expiry as JSON.")
def token(
    key_file: Path,
    tenant_name: str,
    account: str,
    manifest: Path | None,
    fleet_ids: Sequence[str],
    scopes: Sequence[str],
    lifetime: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Sign an account token, as the tenant's service would after a login.

    Example: hsm-vault tenant token --key tenant.pem --tenant demo --account anna --manifest manifest.json
    """
    key, now = read_private_key(key_file), int(time.time())
    if manifest is not None:
        fleet_ids = listed_fleets(manifest, fleet_ids, tenant_name, tenant_key_of(key), now)
    elif not fleet_ids:
        raise click.UsageError("Give --manifest or --fleet-id.")
    signed = issue_account_token(
        key,
        tenant=tenant_name,
        account=account,
        fleets=fleet_ids,
        scopes=scopes or Scope.ALL,
        now=now,
        lifetime=lifetime,
    )
    shown = json.dumps({"token": signed, "expires_at": now + lifetime}) if as_json else signed
    if out is None:
        click.echo(shown)
    else:
        check_place(out)
        replace_token_file(out, shown)
        click.echo(f"Account token written to {out}; it is good for {lifetime} s.", err=True)
