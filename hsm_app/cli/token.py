"""`hsm-vault token`: look at a PKCS#11 token before anything depends on it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from hsm_app.cli.token_profile import show_profile
from hsm_app.errors import ConfigError, TokenError
from hsm_app.token.location import TokenLocation, opened
from hsm_app.token.pin import Pin, pin_from
from hsm_app.token.probe import Finding, lacking, probe

MARKS = {(True, True): "yes", (False, True): "yes", (True, False): "NO", (False, False): "no"}  # needed, ok


@click.group()
def token() -> None:
    """Look at a PKCS#11 token and what it can do."""


token.add_command(show_profile)


@token.command("probe")
@click.option("--module", required=True, type=click.Path(path_type=Path), help="The PKCS#11 module, a shared library.")
@click.option("--token", "label", required=True, help="Label of the token.")
@click.option("--softhsm2-conf", type=click.Path(path_type=Path), help="SoftHSM's configuration, if the module is it.")
@click.option("--pin-file", type=click.Path(path_type=Path), help="File with the user PIN, mode 0600.")
@click.option("--pin-credential", metavar="NAME", help="systemd credential with the user PIN.")
@click.option("--pin-env", metavar="NAME", help="Environment variable with the user PIN.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def probe_token(
    module: Path,
    label: str,
    softhsm2_conf: Path | None,
    pin_file: Path | None,
    pin_credential: str | None,
    pin_env: str | None,
    as_json: bool,
) -> None:
    """Perform everything that the vault needs of a token, and say whether the token can carry it.

    Keys are made, used, compared with software and destroyed; what a token has to refuse is tried as well. Nothing
    stays on the token. Without a --pin option, the PIN is asked for; a PIN is never an argument.

    Exit code 0: the vault can run on this token. 6: it cannot, and the table says what is missing.

    Example: hsm-vault token probe --module /usr/lib/softhsm/libsofthsm2.so --token dev --pin-file ./pin
    """
    pin = choose_pin(label, pin_file, pin_credential, pin_env)
    with opened(TokenLocation(module=module, label=label, softhsm2_conf=softhsm2_conf), pin) as session:
        device = f"{session.token.manufacturer_id}, {session.token.model}"
        findings = probe(session)
    missing = lacking(findings)
    if as_json:
        rows = [dataclasses.asdict(finding) for finding in findings]
        click.echo(json.dumps({"device": device, "suitable": not missing, "findings": rows}))
    else:
        _show(device, findings)
    if missing:
        raise TokenError(
            f"the vault cannot run on this token: it lacks {len(missing)} of the needed abilities",
            "Look for them in the device's policy settings; nothing here works around a missing one",
        )
    if not as_json:
        click.echo("The vault can run on this token.")


def choose_pin(label: str, file: Path | None, credential: str | None, variable: str | None) -> Pin:
    """Return the PIN from the one source that was named, or from the prompt. ConfigError when two were named."""
    if sum(source is not None for source in (file, credential, variable)) > 1:
        raise ConfigError("more than one source for the PIN", "Give one of --pin-file, --pin-credential, --pin-env")
    return pin_from(file, credential, variable, f"User PIN of token {label}: ")


def _show(device: str, findings: list[Finding]) -> None:
    width = max(len(finding.ability) for finding in findings)
    click.echo(f"Token: {device}\n")
    for finding in findings:
        mark = MARKS[finding.needed, finding.ok]
        optional = "" if finding.needed else " (not needed)"
        click.echo(f"  {mark:4}{finding.ability:{width}}  {finding.purpose}{optional}")
        click.echo(f"      {finding.detail}")
    click.echo()
