"""The fleet's end of the client's sessions, with a software key and answers as told: for losses, not for cryptography.

What a real fleet answers is tested in `test_vault_flow.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from hsm_app.client.config import VaultConfig
from hsm_app.client.trust import PinnedManifest
from hsm_app.errors import VaultError
from hsm_app.fleet.client_policy import DEVELOPMENT
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.model import Subject
from hsm_app.net.address import Address, listen
from hsm_app.net.connection import FrameConnection
from hsm_app.wire.envelopes import REQUEST_LIMIT, Outcome, Request, Response, decode_request, encode_response
from hsm_app.wire.hpke import Receiver
from hsm_app.wire.messages import Answer, ClientRequest
from hsm_app.wire.refusal import refusal_from
from hsm_app.wire.session import open_request, peek_enc, seal_answer, session_info
from tests.fleet.example import example_bytes, private_key

KEM_SCALAR = 400_001  # of the example fleet's session key
MANIFEST = parse_manifest(example_bytes())
FLEET = MANIFEST.fleet("fleet-1")
SUBJECT = Subject(tenant="tenant-1", account="anna", name="backup")
RECEIVER = Receiver(FLEET.kem_public, session_info(FLEET.fleet, MANIFEST.digest))

Doing = Callable[["FleetEnd", FrameConnection, Request], None]


def config(address: Address, patience: float = 20.0) -> VaultConfig:
    return VaultConfig(
        relay=address,
        trust=PinnedManifest(MANIFEST),
        fleet=FLEET.fleet,
        subject=SUBJECT,
        policy=DEVELOPMENT,
        account_token=lambda: "a.b.c",
        patience=patience,
    )


@dataclass(slots=True, kw_only=True)
class FleetEnd:
    """Does one `Doing` for each request, in their order, and remembers what was asked."""

    plan: Iterator[Doing]
    address: Address = field(default_factory=Address)
    asked: list[ClientRequest] = field(default_factory=list)
    sealed: list[bytes] = field(default_factory=list)
    response_keys: list[bytes] = field(default_factory=list)
    connections: int = 0

    def protocol(self) -> FrameConnection:
        self.connections += 1
        return FrameConnection(limit=REQUEST_LIMIT, idle_seconds=None, on_frame=self._frame, on_close=lambda *_: None)

    def _frame(self, connection: FrameConnection, frame: bytes) -> None:
        request = decode_request(frame)
        self.sealed.append(request.sealed)
        next(self.plan)(self, connection, request)


@asynccontextmanager
async def fleet_end(*plan: Doing) -> AsyncIterator[FleetEnd]:
    end = FleetEnd(plan=iter(plan))
    server = await listen(Address(host="127.0.0.1", port=0), end.protocol)
    end.address = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    try:
        yield end
    finally:
        server.close()
        await asyncio.sleep(0)


def answer(what: Answer | VaultError, outcome: Outcome = Outcome.ANSWERED) -> Doing:
    """Open the request and answer it as a replica would."""

    def do(end: FleetEnd, connection: FrameConnection, request: Request) -> None:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), peek_enc(request.sealed))
        opened = open_request(RECEIVER, request.sealed, private_key(KEM_SCALAR).exchange(ec.ECDH(), public))
        end.asked.append(opened.message())
        end.response_keys.append(opened.response_key)
        message = refusal_from(what) if isinstance(what, VaultError) else what
        sealed = seal_answer(opened, message, os.urandom(32))
        connection.send(encode_response(Response(id=request.id, outcome=outcome, sealed=sealed)))

    return do


def tamper(_end: FleetEnd, connection: FrameConnection, request: Request) -> None:
    connection.send(encode_response(Response(id=request.id, outcome=Outcome.ANSWERED, sealed=bytes(400))))


def hang_up(_end: FleetEnd, connection: FrameConnection, _request: Request) -> None:
    connection.abort("hung up")


def say_nothing(_end: FleetEnd, _connection: FrameConnection, _request: Request) -> None:
    """Let the client wait."""


def junk(_end: FleetEnd, connection: FrameConnection, _request: Request) -> None:
    connection.send(b"junk")


def busy(_end: FleetEnd, connection: FrameConnection, request: Request) -> None:
    response = Response(id=request.id, outcome=Outcome.REFUSED, sealed=b"", detail="too many\x1b[2J requests")
    connection.send(encode_response(response))


def answer_twice_and_unasked(what: Answer) -> Doing:
    def do(end: FleetEnd, connection: FrameConnection, request: Request) -> None:
        unasked = Response(id=request.id + 77, outcome=Outcome.REFUSED, sealed=b"", detail="not yours")
        connection.send(encode_response(unasked))
        answer(what)(end, connection, request)
        connection.send(encode_response(Response(id=request.id, outcome=Outcome.REFUSED, sealed=b"", detail="late")))

    return do
