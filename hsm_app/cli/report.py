"""Events and statuses, for people and for machines."""

from __future__ import annotations

import time
from typing import Any

from hsm_app.client.results import Recovery, SignedStatus, event_text
from hsm_app.vault.owner import Action

WAITING = {Action.ACTIVATE: "a replacement", Action.DELETE: "a deletion"}


def moment(at: int) -> str:
    """Return POSIX seconds as a date and time in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def failed_lines(recovery: Recovery) -> list[str]:
    """Return what the owner should know about attempts that failed; nothing when there were none."""
    failed = recovery.failed_attempts
    if not failed:
        return []
    return [
        "Attempts that failed lately:",
        *(f"  {moment(event.at)}  {event_text(event)}" for event in failed),
        "If they were not yours, somebody can act for your account: tell its service, and change the code.",
    ]


def status_lines(signed: SignedStatus) -> list[str]:
    """Return a status as lines of a table."""
    body = signed.body
    rows = [("state", body.state), ("generation", str(body.generation))]
    if body.maximum:
        rows.append(("attempts left", f"{body.attempts_left} of {body.maximum}"))
    if body.pending is not None:
        what = WAITING.get(Action(body.pending.kind), "something") if body.pending.kind in set(Action) else "something"
        rows.append(("waits", f"{what}, due {moment(body.pending.due_at)}; the owner can cancel it"))
    rows.append(("signed by", f"replica {signed.report.replica} of fleet {body.fleet}, manifest epoch {body.epoch}"))
    lines = [f"{name:<14} {value}" for name, value in rows]
    return lines + [f"  {moment(event.at)}  {event_text(event)}" for event in body.events]


def status_json(signed: SignedStatus) -> dict[str, Any]:
    """Return a status as JSON members; `signed` and `signature` let others verify it."""
    body, report = signed.body, signed.report
    pending = None if body.pending is None else {"kind": body.pending.kind, "due_at": body.pending.due_at}
    return {
        "state": body.state,
        "generation": body.generation,
        "attempts_left": body.attempts_left,
        "maximum": body.maximum,
        "pending": pending,
        "events": [{"kind": event.kind, "at": event.at, "text": event_text(event)} for event in body.events],
        "fleet": body.fleet,
        "epoch": body.epoch,
        "replica": report.replica,
        "signed": report.signed.hex(),
        "signature": report.signature.hex(),
    }
