"""`hsm-vault log`: look at a public log of fleet keys, once or again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from hsm_app.cli.files import check_place, read_whole
from hsm_app.errors import ConfigError, LogError, QuorumError
from hsm_app.evidence.verdict import Outcome, Verdicts
from hsm_app.fleet.root_of_trust import check_expiry, parse_root_of_trust
from hsm_app.monitor.following import Followed, follow
from hsm_app.monitor.lineage import Lineage, lineages
from hsm_app.monitor.source import open_source
from hsm_app.monitor.state import read_state, write_state
from hsm_app.monitor.verdicts import Look, look
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.tiles import Fetch

File = click.Path(path_type=Path, dir_okay=False)
SUCCESSOR = "What followed a document, as `root-of-trust sign` made it; in order, may be repeated."


@click.group()
def log() -> None:
    """Look at a public log of fleet keys: anyone can, and somebody should."""


@log.command()
@click.argument("location")
@click.option("--root-of-trust", "document", type=File, required=True, help="Whom you believe.")
@click.option("--successor", "successors", type=File, multiple=True, help=SUCCESSOR)
@click.option("--namespace", help="Must be the document's; for scripts that want to be sure.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The last so many epochs.")
@click.option("--state", type=File, help="What a monitor has kept; consistency is held against it. Nothing is written.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def verify(
    location: str,
    document: Path,
    successors: tuple[Path, ...],
    namespace: str | None,
    limit: int,
    state: Path | None,
    as_json: bool,
) -> None:
    """Check every epoch of a namespace in the log at LOCATION, an address or a directory: one line for each check.

    Each line says PASS, FAIL or NOT-PROVEN and a reason; without --state, consistency is NOT-PROVEN. Ends with 0 when
    epochs were found and nothing failed, 10 when anything failed, 11 when the log has no epoch of the namespace, and
    7 or 8 when it could not be read.

    Example: hsm-vault log verify https://log.example --root-of-trust root-of-trust.json --limit 3
    """
    (line,) = _lines_of_trust((document,), successors).values()
    if namespace not in (None, line.last.namespace):
        raise ConfigError(f"{document} is for {line.last.namespace}, not for {namespace}", "Give the other document")
    kept = _kept(state, line.last.origin)
    seen = look(open_source(location), line, now=int(time.time()), seen=kept, limit=limit)
    click.echo(json.dumps(_as_json(seen)) if as_json else "\n".join(_lines(seen)))
    if seen.has_failed:
        raise LogError(_failed(seen), "a check failed", "Do not use keys of this log before you know why")
    raise SystemExit(seen.outcome.exit_code)


@log.command()
@click.argument("location")
@click.option("--root-of-trust", "documents", type=File, multiple=True, required=True, help="One for each namespace.")
@click.option("--successor", "successors", type=File, multiple=True, help=SUCCESSOR)
@click.option("--state", type=File, required=True, help="Where the monitor keeps what it has seen.")
@click.option("--every", type=click.IntRange(1), metavar="SECONDS", help="Go on looking; without it, look once.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each look.")
def monitor(
    location: str,
    documents: tuple[Path, ...],
    successors: tuple[Path, ...],
    state: Path,
    every: int | None,
    as_json: bool,
) -> None:
    """Follow the log at LOCATION: print each new epoch and what changed in it, and fail when the log cheats.

    Ends with 10 on a split view, a rollback, keys that the root of trust does not know, a gap between epochs, or too
    few fresh cosignatures. Nothing is written to the state then, so the next run says it again. Suited to cron. Ends
    with 7 when the log does not answer, which proves nothing; with --every that is said, and it goes on.

    Example: hsm-vault log monitor https://log.example --root-of-trust root-of-trust.json --state seen.json
    """
    check_place(state)
    lines, fetch = _lines_of_trust(documents, successors), open_source(location)
    while True:
        try:
            _look_once(fetch, lines, state, as_json)
        except QuorumError as error:
            if every is None:
                raise
            click.echo(f"hsm-vault: {error}", err=True)
        if every is None:
            return
        time.sleep(every)


def _look_once(fetch: Fetch, lines: Mapping[str, Lineage], state: Path, as_json: bool) -> None:
    kept = read_state(state, next(iter(lines.values())).last.origin)
    try:
        followed = follow(fetch, lines, kept, int(time.time()))
    except LogError as error:
        if as_json:
            click.echo(json.dumps({"alarm": {"check": error.check, "what": error.what}}))
        raise
    write_state(state, followed.state)
    _tell(followed, as_json)


def _lines_of_trust(documents: Sequence[Path], successors: Sequence[Path]) -> Mapping[str, Lineage]:
    lines = lineages(
        [parse_root_of_trust(read_whole(path)) for path in documents],
        [read_whole(path).strip() for path in successors],
    )
    for line in lines.values():
        check_expiry(line.last, int(time.time()))
    return lines


def _kept(state: Path | None, origin: str) -> Checkpoint | None:
    if state is None:
        return None
    if not state.exists():
        raise ConfigError(f"{state} does not exist", "Give the file that `log monitor` keeps")
    return read_state(state, origin).checkpoint


def _failed(seen: Look) -> str:
    """Return the name of the first check that failed."""
    shown = (seen.log, *(epoch.verdicts for epoch in seen.epochs))
    return next(name for verdicts in shown for name, one in verdicts.items() if one.outcome is Outcome.FAIL)


def _lines(seen: Look) -> list[str]:
    lines = [] if seen.epochs else _of(seen.log)
    for epoch in seen.epochs:
        name = "unreadable" if epoch.manifest is None else f"epoch {epoch.manifest.epoch}"
        lines += [f"{name}, entry {epoch.index}", *_of(epoch.verdicts)]
    return lines


def _of(verdicts: Verdicts) -> list[str]:
    return [f"  {check:<17}  {verdict.outcome:<10}  {verdict.why}" for check, verdict in verdicts.items()]


def _as_json(seen: Look) -> dict[str, object]:
    size = seen.checkpoint.size if seen.checkpoint else None
    epochs = [
        {
            "index": epoch.index,
            "epoch": epoch.manifest.epoch if epoch.manifest else None,
            "checks": _checks(epoch.verdicts),
        }
        for epoch in seen.epochs
    ]
    return {
        "size": size,
        "outcome": seen.outcome.value,
        "failed": seen.has_failed,
        "log": _checks(seen.log),
        "epochs": epochs,
    }


def _checks(verdicts: Verdicts) -> dict[str, object]:
    return {name: {"outcome": one.outcome, "why": one.why} for name, one in verdicts.items()}


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
