"""`hsm-vault log`: look at a public log of fleet keys, once or again and again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from hsm_app.cli.files import read_whole
from hsm_app.errors import LogError
from hsm_app.fleet.root_of_trust import RootOfTrust, check_expiry, parse_root_of_trust
from hsm_app.monitor.following import Followed, follow, read_state, write_state
from hsm_app.monitor.source import open_source
from hsm_app.monitor.verdicts import EpochVerdicts, Look, look

File = click.Path(path_type=Path, dir_okay=False)


@click.group()
def log() -> None:
    """Look at a public log of fleet keys: anyone can, and somebody should."""


@log.command()
@click.argument("location")
@click.option("--root-of-trust", "document", type=File, required=True, help="Whom you believe.")
@click.option("--namespace", help="Must be the document's; for scripts that want to be sure.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The last so many epochs.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def verify(location: str, document: Path, namespace: str | None, limit: int, as_json: bool) -> None:
    """Check every epoch of a namespace in the log at LOCATION, an address or a directory: one line for each check.

    Lines end in PASS, FAIL or NOT-PROVEN and a reason. Ends with 10 when anything failed.

    Example: hsm-vault log verify https://log.example --root-of-trust root-of-trust.json --limit 3
    """
    root = _root(document)
    if namespace not in (None, root.namespace):
        raise LogError("artifact", f"{document} is for {root.namespace}, not for {namespace}")
    seen = look(open_source(location), root, now=int(time.time()), seen=None, limit=limit)
    click.echo(json.dumps(_as_json(seen)) if as_json else "\n".join(_lines(seen)))
    if seen.has_failed:
        raise LogError("proof", "a check failed", "Do not use keys of this log before you know why")


@log.command()
@click.argument("location")
@click.option("--root-of-trust", "documents", type=File, multiple=True, required=True, help="One for each namespace.")
@click.option("--state", type=File, required=True, help="Where the monitor keeps what it has seen.")
@click.option("--every", type=click.IntRange(1), metavar="SECONDS", help="Go on looking; without it, look once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each look.")
def monitor(location: str, documents: tuple[Path, ...], state: Path, every: int | None, as_json: bool) -> None:
    """Follow the log at LOCATION: print each new epoch and what changed in it, and fail when the log cheats.

    Ends with 10 on a split view, a rollback, keys that the root of trust does not know, a gap between epochs, or too
    few fresh cosignatures. Nothing is written to the state then, so the next run says it again. Suited to cron.

    Example: hsm-vault log monitor https://log.example --root-of-trust root-of-trust.json --state seen.json
    """
    roots = {root.namespace: root for root in map(_root, documents)}
    fetch = open_source(location)
    while True:
        followed = follow(fetch, roots, read_state(state), int(time.time()))
        write_state(state, followed.state)
        _tell(followed, as_json)
        if every is None:
            return
        time.sleep(every)


def _root(path: Path) -> RootOfTrust:
    root = parse_root_of_trust(read_whole(path))
    check_expiry(root, int(time.time()))
    return root


def _lines(seen: Look) -> list[str]:
    lines = [] if seen.checkpoint else [f"proof              {seen.log['proof'].outcome:<10}  {seen.log['proof'].why}"]
    for epoch in seen.epochs:
        name = "unreadable" if epoch.manifest is None else f"epoch {epoch.manifest.epoch}"
        lines.append(f"{name}, entry {epoch.index}")
        lines += [f"  {check:<17}  {verdict.outcome:<10}  {verdict.why}" for check, verdict in epoch.verdicts.items()]
    return lines or ["the log has no entry of this namespace"]


def _as_json(seen: Look) -> dict[str, object]:
    size = seen.checkpoint.size if seen.checkpoint else None
    shown = seen.epochs or (EpochVerdicts(-1, None, seen.log),)
    epochs = [
        {
            "index": epoch.index,
            "epoch": epoch.manifest.epoch if epoch.manifest else None,
            "checks": {name: {"outcome": one.outcome, "why": one.why} for name, one in epoch.verdicts.items()},
        }
        for epoch in shown
    ]
    return {"size": size, "failed": seen.has_failed, "epochs": epochs}


def _tell(followed: Followed, as_json: bool) -> None:
    if as_json:
        epochs = [
            {"index": one.index, "namespace": one.namespace, "epoch": one.epoch, "sha256": one.digest.hex(),
             "changes": list(one.changes)}
            for one in followed.epochs
        ]  # fmt: skip
        click.echo(json.dumps({"size": followed.state.size, "epochs": epochs, "notes": list(followed.notes)}))
        return
    for one in followed.epochs:
        click.echo(f"{one.namespace}, epoch {one.epoch}, entry {one.index}, {one.digest.hex()}")
        for line in one.changes:
            click.echo(f"  {line}")
    for note in followed.notes:
        click.echo(note)
    click.echo(f"{followed.state.size} entries, {len(followed.epochs)} new epochs")
