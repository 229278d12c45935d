"""What witnesses publish of a log, held against what the log shows here: a log that has two histories is found so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hsm_app.errors import LogError, VaultError
from hsm_app.net.http import request
from hsm_app.tlog import tiles
from hsm_app.tlog.checkpoint import Checkpoint, signed_checkpoint
from hsm_app.tlog.cosignature import cosigned_at
from hsm_app.tlog.merkle import consistency_proof, verify_consistency
from hsm_app.tlog.note import VerifierKey
from hsm_app.tlog.policy import Endpoint
from hsm_app.tlog.tiles import Fetch
from hsm_app.tlog.witness_exchange import origin_hash

OK = 200


def compare_with_witnesses(
    fetch: Fetch, checkpoint: Checkpoint, log: VerifierKey, witnesses: Iterable[tuple[str, Endpoint]]
) -> Iterator[str]:
    """Hold the log's tree against those that its witnesses publish; yield who could not be asked, or showed none.

    `witnesses` by their names in the policy. LogError ("consistency") when a witness has cosigned a tree that is not of
    this history: a split view.
    """
    for name, endpoint in witnesses:
        if not endpoint.url:
            yield f"witness {name} could not be asked: the policy names no address"
            continue
        try:
            theirs = _witnessed(endpoint, log)
        except LogError as error:
            raise LogError("witnesses", f"witness {name} publishes what does not hold: {error.what}") from None
        except VaultError as error:
            yield f"witness {name} could not be asked: {error.what}"
            continue
        if isinstance(theirs, int):
            yield f"witness {name} does not show what it saw of this log: it answers {theirs}"
        else:
            _check_same_history(fetch, checkpoint, theirs, name)


def _witnessed(endpoint: Endpoint, log: VerifierKey) -> Checkpoint | int:
    """Return the last checkpoint that a witness cosigned, or the HTTP status of an answer that is none."""
    reply = request("GET", f"{endpoint.url.rstrip('/')}/{origin_hash(log.name)}/checkpoint")
    if reply.status != OK:
        return reply.status
    note, checkpoint = signed_checkpoint(reply.body, log, log.name)
    if cosigned_at(note, endpoint.key) is None:
        raise LogError("witnesses", "its own cosignature is missing")
    return checkpoint


def _check_same_history(fetch: Fetch, ours: Checkpoint, theirs: Checkpoint, name: str) -> None:
    old, new = sorted((ours, theirs), key=lambda one: one.size)
    try:
        proof = consistency_proof(old.size, new.size, tiles.reader(new.size, fetch))
    except LogError as error:
        raise LogError(
            "consistency",
            f"ROLLBACK: witness {name} saw a tree of {theirs.size} entries, and the log does not show how it goes with "
            f"its own of {ours.size} ({error.what})",
            "Look again; if it stays so, the log was put back, or hides a part",
        ) from None
    try:
        verify_consistency(old.size, new.size, old.root, new.root, proof)
    except LogError as error:
        raise LogError(
            "consistency",
            f"SPLIT VIEW: witness {name} saw a tree of {theirs.size} entries that is not of this log's history "
            f"({error.what})",
            "Keep both checkpoints: both are signed by the log, and they prove that it lied",
        ) from None
