"""`hsm-vault software`: which software runs, as a record that others compare."""

from __future__ import annotations

import json
from pathlib import Path

import click

from hsm_app.ceremony.words import fingerprint_words
from hsm_app.cli.files import read_whole
from hsm_app.errors import LogError
from hsm_app.evidence.software import Software, encode_software, parse_software
from hsm_app.evidence.software_comparison import differences
from hsm_app.operator.software import measure_software

File = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print software.json; with --check, one object of differences.")
@click.option("--check", "published", type=File, help="A software.json to compare with.")
@click.option("--wheel", type=File, help="The wheel that was installed: its digest goes into the record.")
@click.option("--module", type=File, help="The PKCS#11 module: its digest goes into the record.")
@click.option(
    "--at",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Measure what was installed into this directory, such as site-packages on another machine's disk.",
)
def software(as_json: bool, published: Path | None, wheel: Path | None, module: Path | None, at: Path | None) -> None:
    """Say which software runs: version, commit, the digest over all its files, dependencies.

    --check names each file of the program and each dependency's version that is not as a published software.json
    says, and ends with 10 if there is any. Python also runs its caches (__pycache__), and what *.pth files and a
    sitecustomize name: neither is looked at. The digest over the files can be had without this program, where its wheel
    was unpacked:
    find hsm_app -type f -exec sha256sum {} + | LC_ALL=C sort | sha256sum

    The words are what a ceremony reads aloud of that digest.

    A machine that was tampered with can say what it likes about itself: then look at its disk from another one, --at.

    Example: hsm-vault software --module /usr/lib/softhsm/libsofthsm2.so --json > software.json
    """
    here = measure_software(at, wheel=wheel, module=module)
    if published is not None:
        _compare(here, parse_software(read_whole(published)), as_json)
    elif as_json:
        click.echo(encode_software(here), nl=False)
    else:
        for name, value in _rows(here):
            click.echo(f"{name:<14} {value}")


def _compare(here: Software, published: Software, as_json: bool) -> None:
    found = differences(here, published)
    if as_json:
        click.echo(json.dumps({"differences": [{"name": one.name, "how": one.how} for one in found]}))
    else:
        for one in found:
            click.echo(f"{one.name} {one.how}")
    if found:
        raise LogError("software", f"{len(found)} differences from what was published", "Install the published wheel")
    if not as_json:
        click.echo(f"The same: {len(here.files)} files, {len(here.dependencies)} dependencies.")


def _rows(here: Software) -> list[tuple[str, str]]:
    unlocked = [one.name for one in here.dependencies if not one.sha256]
    rest = f", not in the lock file: {', '.join(unlocked)}" if unlocked else ""
    rows = [
        ("version", here.version),
        ("commit", here.commit or "not known"),
        ("files", f"{len(here.files)}, SHA-256 {here.files_sha256.hex()}"),
        ("words", fingerprint_words(here.files_sha256)),
        ("dependencies", f"{len(here.dependencies)}{rest}"),
    ]
    if here.wheel_sha256 is not None:
        rows.append(("wheel", f"SHA-256 {here.wheel_sha256.hex()}"))
    if here.pkcs11_module is not None:
        rows.append(("PKCS#11 module", f"{here.pkcs11_module.file}, SHA-256 {here.pkcs11_module.sha256.hex()}"))
    return rows
