"""Asking witnesses, our own and others', to cosign a checkpoint (C2SP tlog-witness v1.0.0)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hsm_app.errors import LogError, VaultError
from hsm_app.net.http import ANSWER_SECONDS, request
from hsm_app.tlog.checkpoint import Checkpoint, parse_number
from hsm_app.tlog.cosignature import cosigned_at
from hsm_app.tlog.note import Note, NoteSignature, parse_note
from hsm_app.tlog.policy import Endpoint, Policy
from hsm_app.tlog.witness_exchange import CONFLICT, OK, PATH, UNPROCESSABLE, encode_request

ANSWER_LIMIT = 16 * 1024  # bytes of cosignature lines
CONFLICTS = 3  # the witness may hear of the log from others between two questions
Prove = Callable[[int], list[bytes]]  # the consistency proof from an older size


@dataclass(frozen=True, slots=True)
class Gathered:
    """The note with the cosignatures that came, and why each of the other witnesses gave none.

    `is_contradicted`: one of them says that it saw another history of the log, or more of it.
    """

    note: Note
    missing: Mapping[str, str]
    is_contradicted: bool


def gather(note: Note, prove: Prove, witnesses: Mapping[str, Endpoint], seconds: float = ANSWER_SECONDS) -> Gathered:
    """Ask all witnesses that have an address, at the same time. Never raises for what a witness does."""
    asked = {name: endpoint for name, endpoint in witnesses.items() if endpoint.url}
    missing = {name: "the policy names no address" for name in witnesses.keys() - asked.keys()}
    lines: list[NoteSignature] = []
    is_contradicted = False
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        answers = {name: pool.submit(cosignatures, note, prove, endpoint, seconds) for name, endpoint in asked.items()}
    for name, answer in answers.items():
        try:
            lines += answer.result()
        except VaultError as error:
            missing[name] = error.what
            is_contradicted |= isinstance(error, LogError) and error.check == "consistency"
    return Gathered(note.with_signatures(lines), missing, is_contradicted)


def cosignatures(note: Note, prove: Prove, endpoint: Endpoint, seconds: float) -> Sequence[NoteSignature]:
    """Return a witness's lines over the note. LogError when it gives none that holds, QuorumError when it is away.

    It is asked as if it had seen this very tree, which is so when only its time is to be renewed; otherwise it answers
    with the size that it has seen, and is asked again, with the proof from there.
    """
    size = Checkpoint.parse(note.text).size
    status, body = _ask(note, size, [], endpoint, seconds)
    for _ in range(CONFLICTS):
        if status != CONFLICT:
            break
        seen = parse_number(body.decode(errors="replace").rstrip("\n"), "the size that a witness has seen")
        if seen > size:
            raise LogError("consistency", f"{endpoint.key.name} has seen {seen} entries of this log, more than it has")
        status, body = _ask(note, seen, prove(seen), endpoint, seconds)
    if status != OK or len(body) > ANSWER_LIMIT:
        check = "consistency" if status == UNPROCESSABLE else "witnesses"
        raise LogError(check, f"{endpoint.key.name} refused: {status} {body[:200].decode(errors='replace').strip()}")
    lines = [line for line in parse_note(note.text + b"\n" + body).signatures if line.is_of(endpoint.key)]
    if cosigned_at(Note(note.text, tuple(lines)), endpoint.key) is None:
        raise LogError("witnesses", f"{endpoint.key.name} answered without its cosignature")
    return lines


def with_older(note: Note, before: Note | None) -> Note:
    """Return the note with the lines of an earlier one over the same text, of keys that have no line in it now.

    So a witness that is away for an hour takes nothing from what it said before; how old that is, every reader asks.
    """
    if before is None or before.text != note.text:
        return note
    there = {(one.name, one.key_id) for one in note.signatures}
    return note.with_signatures(one for one in before.signatures if (one.name, one.key_id) not in there)


def of_policy(note: Note, policy: Policy, origin: str) -> Note:
    """Return the note with the lines of a policy's log and witnesses only: what a bundle of its namespace needs."""
    keys = [policy.log(origin).key, *(endpoint.key for endpoint in policy.witnesses.values())]
    return Note(note.text, tuple(one for one in note.signatures if any(one.is_of(key) for key in keys)))


def _ask(note: Note, old: int, proof: list[bytes], endpoint: Endpoint, seconds: float) -> tuple[int, bytes]:
    url = endpoint.url.rstrip("/") + PATH
    reply = request("POST", url, encode_request(old, proof, note.to_bytes()), seconds=seconds)
    return reply.status, reply.body
