"""`hsm-vault fleet status`: how each replica of a fleet stands."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from hsm_app.errors import QuorumError
from hsm_app.operator.fleet_status import Seen, level_majority, look_at
from hsm_app.wire.operator_status import StatusReport

HEAD = "replica  standing                      records epoch boot     votes votes/anchor  rounds 1/2/more"


@click.command(short_help="Show how each replica stands.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--watch", type=click.FloatRange(0.2), metavar="SECONDS", help="Show it again after so many seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
def status(directory: Path, watch: float | None, as_json: bool) -> None:
    """Show how each replica of DIRECTORY stands: level with the others, or how many records it has to go.

    Each is asked through the Unix socket in its own directory, so this works on the replicas' host and with their
    rights. Ends with 7 unless a majority is level.

    Example: hsm-vault fleet status ./fleet
    """
    seen = look_at(directory)
    _show(seen, as_json)
    while watch is not None:
        time.sleep(watch)
        seen = look_at(directory)
        _show(seen, as_json)
    if not level_majority(seen):
        sys.exit(QuorumError.exit_code)


def _show(seen: Sequence[Seen], as_json: bool) -> None:
    if as_json:
        replicas = [
            asdict(each.report) if each.report else {"replica": each.replica, "error": each.error} for each in seen
        ]
        click.echo(json.dumps({"replicas": replicas, "majority_is_level": level_majority(seen)}))
        return
    click.echo(HEAD)
    for each in seen:
        click.echo(f"{each.replica:>7}  {each.error}" if each.report is None else _line(each.report))


def _line(of: StatusReport) -> str:
    per_anchor = of.votes / of.anchors if of.anchors else 0.0
    fault = f"  ({of.fault})" if of.fault else ""
    return (
        f"{of.replica:>7}  {standing(of):<28} {of.records:>8} {of.epoch:>5} {of.boot:>4} {of.votes:>9}"
        f" {per_anchor:>12.1f}  {of.one_round}/{of.two_rounds}/{of.more_rounds}{fault}"
    )


def standing(of: StatusReport) -> str:
    """Say in words how far a replica is from being level."""
    if of.is_level:
        return "level"
    if not of.to_go:
        return "comparing"
    if not of.per_second:
        return f"behind, {of.to_go} to go"
    return f"behind, {of.to_go} to go, {of.per_second}/s, {of.to_go // of.per_second} s"
