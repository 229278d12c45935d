"""A vault without tokens, votes or disks: the real record and the real OPAQUE server around software keys, in memory.

For the client's decisions, above all against a vault that cheats or loses things. That the vault itself is right is
shown elsewhere: `test_vault_flow.py` and the rooms' own tests run against real tokens.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hsm_app.client.config import VaultConfig
from hsm_app.client.trust import PinnedManifest
from hsm_app.errors import Denied, ProtocolError, VaultError
from hsm_app.fleet.client_policy import DEVELOPMENT
from hsm_app.fleet.manifest import Argon2Costs, Manifest
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.model import AttemptId, Subject, WrappedKey
from hsm_app.net.address import Address, listen
from hsm_app.net.connection import FrameConnection
from hsm_app.opaque import server
from hsm_app.opaque.envelope import Identities
from hsm_app.opaque.group import SoftwareKey, check_point, encode
from hsm_app.opaque.messages import RegistrationRecord
from hsm_app.vault import recovery, registration, removal
from hsm_app.vault import status as record_status
from hsm_app.vault.attempts import hash_ke1
from hsm_app.vault.owner import OwnerClaim
from hsm_app.vault.profile import CONTEXT, client_identity, server_identity
from hsm_app.vault.record import Outcome, Record, Scheduled
from hsm_app.vault.step import decide
from hsm_app.wire import messages as m
from hsm_app.wire.envelopes import REQUEST_LIMIT, Request, Response, decode_request, encode_response
from hsm_app.wire.envelopes import Outcome as Word
from hsm_app.wire.hpke import Receiver
from hsm_app.wire.refusal import refusal_from
from hsm_app.wire.session import OpenedRequest, open_request, peek_enc, seal_answer, session_info
from hsm_app.wire.status import Pending, StatusBody, encode_status
from tests.fleet.example import example_fleet, private_key

KEM, OPAQUE, IDENTITY = 400_001, 400_002, 1  # scalars of the example fleet's keys and of replica 1's identity
SUBJECT = Subject(tenant="tenant-1", account="anna", name="backup")
PATIENCE = 120  # seconds: a client gives up because of what it is answered, and not because a machine is slow
CHEAP = Argon2Costs(iterations=1, memory_kib=64, lanes=1)  # what tests can wait for


def manifest_now(**changes: Any) -> Manifest:
    fleet = replace(example_fleet(), argon2=CHEAP, **changes)
    now = int(time.time())
    raw = encode_manifest(
        namespace="vault.example/fleets",
        epoch=1,
        previous_sha256=None,
        issued_at=now - 60,
        not_before=now - 60,
        not_after=now + 3600,
        fleets=(fleet,),
    )
    return parse_manifest(raw)


class SoftwareVault:
    """One record. Set `twist` to change answers, `lose` to drop the answers to some requests.

    `enter` is another epoch: what was sealed under the one before is refused with `bundle`, if there is one.
    """

    def __init__(self, manifest: Manifest, fleet: str = "fleet-1") -> None:
        self._name = fleet
        self.enter(manifest, b"")
        self.record = Record()
        self.asked: list[m.ClientRequest] = []
        self.frames: list[bytes] = []
        self.twist: Callable[[Any], Any] = lambda answer: answer
        self.lose: set[type] = set()  # each is lost once
        self.later = 0  # seconds by which this vault's clock is ahead
        self.address = Address()
        self._opaque = SoftwareKey(OPAQUE)
        self._keys: dict[bytes, SoftwareKey] = {}
        self._tickets: dict[bytes, Any] = {}

    def enter(self, manifest: Manifest, bundle: bytes) -> None:
        self.manifest, self.bundle = manifest, bundle
        self.fleet = manifest.fleet(self._name)
        self._receiver = Receiver(self.fleet.kem_public, session_info(self.fleet.fleet, manifest.digest))

    @property
    def config(self) -> VaultConfig:
        return VaultConfig(
            relay=self.address,
            trust=PinnedManifest(self.manifest),
            fleet=self.fleet.fleet,
            subject=SUBJECT,
            policy=DEVELOPMENT,
            account_token=lambda: "a.b.c",
            patience=PATIENCE,
        )

    def protocol(self) -> FrameConnection:
        return FrameConnection(limit=REQUEST_LIMIT, idle_seconds=None, on_frame=self._frame, on_close=lambda *_: None)

    def _frame(self, connection: FrameConnection, frame: bytes) -> None:
        self.frames.append(frame)
        request = decode_request(frame)
        try:
            opened = self._open(request)
        except ProtocolError:
            refused = Response(id=request.id, outcome=Word.REFUSED, sealed=b"", detail="no", bundle=self.bundle)
            connection.send(encode_response(refused))
            return
        asked = opened.message()
        self.asked.append(asked)
        try:
            answer = self.twist(self._answer(asked))
        except VaultError as error:
            answer = refusal_from(error)
        if type(asked) in self.lose:
            self.lose.discard(type(asked))
            connection.abort("lost")
            return
        sealed = seal_answer(opened, answer, os.urandom(32))
        connection.send(encode_response(Response(id=request.id, outcome=Word.ANSWERED, sealed=sealed)))

    def _open(self, request: Request) -> OpenedRequest:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), peek_enc(request.sealed))
        return open_request(self._receiver, request.sealed, private_key(KEM).exchange(ec.ECDH(), public))

    def _answer(self, asked: Any) -> Any:
        return getattr(self, "_" + type(asked).__name__)(asked)

    def _decide(self, transition: Callable[[Record], Outcome[Any]]) -> Any:
        outcome = decide(self.record, transition)
        self.record = self.record if outcome.record is None else outcome.record
        if isinstance(outcome.answer, Denied):
            raise outcome.answer
        if isinstance(outcome.answer, Scheduled):
            return m.Scheduled(due_at=outcome.answer.due_at)
        return outcome.answer

    def _now(self) -> int:
        return int(time.time()) + self.later

    def _ticket(self, content: Any) -> bytes:
        ticket = os.urandom(32)
        self._tickets[ticket] = content
        return ticket

    def _claim(self, signature: bytes) -> OwnerClaim:
        return OwnerClaim(fleet=self.fleet.fleet, subject=SUBJECT, signature=signature)

    def _RegisterStart(self, asked: m.RegisterStart) -> m.RegisterStarted:  # noqa: N802
        key = SoftwareKey(int.from_bytes(os.urandom(31), "big") + 1)
        wrapped = WrappedKey(blob=os.urandom(80), public=encode(key.public))
        self._keys[wrapped.blob] = key
        return m.RegisterStarted(
            evaluated=encode(key.times(check_point(asked.blinded))),
            server_public_key=encode(self._opaque.public),
            ticket=self._ticket((wrapped, self.record.generation)),
            generation=self.record.generation,
            live=self.record.active is not None,
        )

    def _RegisterFinish(self, asked: m.RegisterFinish) -> m.RegisterFinished:  # noqa: N802
        wrapped, generation = self._tickets[asked.ticket]
        made = registration.Registration(
            registration_id=asked.registration_id,
            key=wrapped,
            opaque_record=asked.opaque_record,
            payload=asked.payload,
            owner_public_key=asked.owner_public_key,
            maximum=self.fleet.attempts.maximum,
        )
        answer = self._decide(
            lambda record: registration.finish_registration(record, made, generation=generation, now=self._now())
        )
        return m.RegisterFinished(generation=answer.generation)

    def _Activate(self, asked: m.Activate) -> Any:  # noqa: N802
        answer = self._decide(
            lambda record: registration.activate(
                record,
                asked.registration_id,
                self._claim(asked.owner_signature),
                now=self._now(),
                policy=self.fleet.attempts,
            )
        )
        return answer if isinstance(answer, m.Scheduled) else m.Activated(generation=answer.generation)

    def _RecoverStart(self, asked: m.RecoverStart) -> m.RecoverStarted:  # noqa: N802
        ke1 = server.begin_login(asked.ke1)
        charged = self._decide(
            lambda record: recovery.start_recovery(
                record,
                attempt_id=asked.attempt_id,
                ke1_hash=hash_ke1(asked.ke1),
                now=self._now(),
                policy=self.fleet.attempts,
            )
        )
        ke2, state = server.respond(
            ke1,
            RegistrationRecord.from_bytes(charged.registration.opaque_record),
            evaluated=encode(self._keys[charged.registration.key.blob].times(check_point(ke1.blinded))),
            dh_static=encode(self._opaque.times(check_point(ke1.client_keyshare))),
            server_public_key=encode(self._opaque.public),
            randomness=server.LoginRandomness(
                masking_nonce=os.urandom(32), server_nonce=os.urandom(32), keyshare_seed=os.urandom(32)
            ),
            identities=Identities(client=client_identity(SUBJECT), server=server_identity(self.fleet.fleet)),
            context=CONTEXT,
        )
        return m.RecoverStarted(ke2=ke2, ticket=self._ticket((asked.attempt_id, charged, state)))

    def _RecoverFinish(self, asked: m.RecoverFinish) -> m.Recovered:  # noqa: N802
        attempt_id, charged, state = self._tickets[asked.ticket]
        answer = self._decide(
            lambda record: recovery.finish_recovery(
                record,
                attempt_id=AttemptId(attempt_id),
                sequence=charged.sequence,
                generation=charged.generation,
                mac_valid=server.client_mac_matches(state.expected_client_mac, asked.ke3),
                now=self._now(),
            )
        )
        events = tuple(m.Event(kind=event.kind, at=event.at) for event in answer.events)
        return m.Recovered(payload=answer.payload, generation=answer.generation, events=events)

    def _Delete(self, asked: m.Delete) -> Any:  # noqa: N802
        answer = self._decide(
            lambda record: removal.delete(
                record, self._claim(asked.owner_signature), now=self._now(), policy=self.fleet.attempts
            )
        )
        return answer if isinstance(answer, m.Scheduled) else m.Deleted(generation=answer.generation)

    def _Cancel(self, asked: m.Cancel) -> m.Cancelled:  # noqa: N802
        answer = self._decide(
            lambda record: removal.cancel(record, self._claim(asked.owner_signature), now=self._now())
        )
        return m.Cancelled(generation=answer.generation)

    def _Status(self, asked: m.Status) -> m.StatusReport:  # noqa: N802
        status = self._decide(record_status.status)
        waits = status.scheduled
        signed = encode_status(
            StatusBody(
                fleet=self.fleet.fleet,
                epoch=self.manifest.epoch,
                generation=status.generation,
                nonce=asked.nonce,
                subject=SUBJECT.text(),
                state=status.state.value,
                attempts_left=status.attempts_left,
                maximum=status.maximum,
                pending=None if waits is None else Pending(kind=waits.action, due_at=waits.due_at),
                events=tuple(m.Event(kind=event.kind, at=event.at) for event in status.events),
            )
        )
        r, s = decode_dss_signature(private_key(IDENTITY).sign(signed, ec.ECDSA(SHA256())))
        return m.StatusReport(replica=1, signed=signed, signature=r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@contextmanager
def running(vault: SoftwareVault) -> Iterator[SoftwareVault]:
    """Serve `vault` on a thread of its own, so that blocking clients and commands can talk to it."""
    loop = asyncio.new_event_loop()
    server_ = loop.run_until_complete(listen(Address(host="127.0.0.1", port=0), vault.protocol))
    vault.address = Address(host="127.0.0.1", port=server_.sockets[0].getsockname()[1])
    thread = threading.Thread(target=loop.run_forever, name="software vault")
    thread.start()
    try:
        yield vault
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server_.close()
        loop.close()


def write_client(home: Path, vault: SoftwareVault) -> Path:
    """Write what a new device has: the configuration, the manifest and an account token; no state."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "manifest.json").write_bytes(vault.manifest.raw)
    (home / "token").touch(0o600)
    (home / "token").write_text("a.b.c")
    path = home / "client.toml"
    path.write_text(
        f'relay = "{vault.address}"\nmanifest = "manifest.json"\nmanifest_sha256 = "{vault.manifest.digest.hex()}"\n'
        f'fleet = "{vault.fleet.fleet}"\npolicy = "development"\n'
        f'tenant = "{SUBJECT.tenant}"\naccount = "{SUBJECT.account}"\n'
        f'token_file = "token"\nstate_directory = "state"\npatience_seconds = {PATIENCE}\n'
    )
    return path
