"""What a witness keeps: of each log the largest tree that it has cosigned, durable before the cosignature leaves.

    logs/<hex SHA-256 of the origin>/checkpoint   the note with the witness's cosignature, as monitors fetch it

The state *is* that note: after a crash the witness believes what stands there, whether its answer arrived or not, so
that it never cosigns two trees that contradict each other. The order is: cosign in memory, write, answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

from hsm_app.durable import make_directories, own_directory, replace_file
from hsm_app.errors import LogError, StoreError
from hsm_app.tlog.checkpoint import signed_checkpoint
from hsm_app.tlog.cosignature import cosign, cosigned_at
from hsm_app.tlog.note import NOTE_LIMIT, VerifierKey
from hsm_app.tlog.witness_exchange import CONFLICT, NOT_FOUND, OK, Decision, Kept, decide, origin_hash, parse_request

LOGS = "logs"


class Witness:
    """One witness and its directory, owned by one process. Several threads may ask; they are answered in turn."""

    def __init__(
        self, root: Path, key: VerifierKey, sign: Callable[[bytes], bytes], logs: Mapping[str, VerifierKey]
    ) -> None:
        """`logs` by origin. StoreError when the directory is in use, LogError when what is kept of a log is damaged."""
        self._root = root
        self._key = key
        self._sign = sign
        self._logs = logs
        self._turn = Lock()
        self._lock = own_directory(root)
        try:
            for origin in logs:
                self.kept(origin)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        os.close(self._lock)

    def add_checkpoint(self, body: bytes, now: int) -> tuple[Decision, bytes]:
        """Answer a request at POSIX second `now`: the decision, and the body that goes with it.

        LogError for a body that is no request, StoreError when the state cannot be kept or is not what this witness
        wrote; nothing was cosigned then.
        """
        asked = parse_request(body)
        with self._turn:
            log = self._logs.get(asked.checkpoint.origin)
            if log is None:
                return Decision(NOT_FOUND, why="this witness does not know that log"), b""
            try:
                kept = self.kept(log.name)
            except LogError as error:
                raise StoreError(error.what, error.todo) from None  # this witness's fault, not the log's
            decision = decide(asked, log, kept)
            if decision.status == CONFLICT and decision.keep is not None:
                return decision, b"%d\n" % decision.keep.size
            if decision.status != OK:
                return decision, b""
            line = cosign(asked.note.text, self._key, now, self._sign)
            self._write(log.name, asked.note.with_signatures([line]).to_bytes())
            return decision, line.line().encode()

    def kept(self, origin: str) -> Kept:
        """Return what is kept of a log. LogError when the file is not what this witness wrote."""
        raw = self.published(origin)
        if raw is None:
            return Kept()
        note, checkpoint = signed_checkpoint(raw, self._logs[origin], origin)
        if cosigned_at(note, self._key) is None:
            raise LogError(
                "witnesses",
                f"what is kept of {origin} does not carry this witness's cosignature",
                "Restore it from a copy that is not older; a witness that forgets can be made to contradict itself",
            )
        return Kept(checkpoint.size, checkpoint.root)

    def published(self, origin: str) -> bytes | None:
        """Return the last cosigned note of a log, None before the first."""
        path = self._path(origin)
        try:
            return path.read_bytes()[: NOTE_LIMIT + 1] if path.exists() else None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}", "Check the disk") from error

    def by_hash(self, digest: str) -> bytes | None:
        """Return the last cosigned note of the log whose origin has this SHA-256, in lower-case hexadecimal."""
        for origin in self._logs:
            if origin_hash(origin) == digest:
                return self.published(origin)
        return None

    def _write(self, origin: str, note: bytes) -> None:
        path = self._path(origin)
        make_directories(path.parent, self._root)
        replace_file(path, note)

    def _path(self, origin: str) -> Path:
        return self._root / LOGS / origin_hash(origin) / "checkpoint"
