"""One replica's service on a real SoftHSM token, with a group of acceptors in memory and a client beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from hsm_app.errors import DenyReason, QuorumError
from hsm_app.fleet.manifest import AttemptPolicy, Fleet, Manifest, TenantKeys
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.model import AttemptId, FleetId, RegistrationId, ReplicaId, Subject
from hsm_app.opaque import client
from hsm_app.opaque.envelope import Identities
from hsm_app.operator.tenant import issue_account_token, tenant_key_of
from hsm_app.ports import Token
from hsm_app.replica.desk import Desk
from hsm_app.replica.entropy import TokenEntropy
from hsm_app.replica.limits import HourlyLimit
from hsm_app.replica.service import Service
from hsm_app.token.replica_token import Pkcs11Token
from hsm_app.vault.owner import owner_public_key
from hsm_app.vault.profile import CONTEXT, client_identity, oprf_input, server_identity
from hsm_app.wire import messages
from hsm_app.wire.envelopes import Request, Response
from hsm_app.wire.session import open_answer, seal_request, session_info
from tests.fleet.example import NOW, example_fleet, private_key
from tests.replica.memory_group import MemoryVoter, group, register
from tests.token.fresh import ReplicaToken

T = TypeVar("T")
TENANT, ACCOUNT, NAME = "tenant-1", "anna", "backup"
SUBJECT = Subject(tenant=TENANT, account=ACCOUNT, name=NAME)
PAYLOAD = b"an encrypted secret"
POLICY = AttemptPolicy(
    maximum=10,
    waits_seconds=(0,),
    replace_delay_seconds=604_800,
    charges_per_hour=1000,
    destructions_per_hour=1000,
)


class SpyTokens:
    """Runs jobs at once and counts what the token is asked for by name."""

    def __init__(self, token: Pkcs11Token) -> None:
        self.token = token
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self.token, name)

    async def run(self, job: Callable[[Token], T]) -> T:
        return job(self)  # type: ignore[arg-type]

    def evaluations(self) -> int:
        return self.calls.count("evaluate")


@dataclass
class Time:
    """A clock that stands where it is put, or fails as a jumped one does."""

    at: int = NOW + 100
    jumped: bool = False

    def now(self) -> int:
        if self.jumped:
            raise QuorumError("this replica's clock jumped", "Ask another")
        return self.at


@dataclass
class Case:
    """A service and everything behind it."""

    tokens: SpyTokens
    voters: list[MemoryVoter]
    clock: Time
    fleet: Fleet
    manifest: Manifest
    service: Service
    charges: HourlyLimit
    replies: list[Response] = field(default_factory=list)

    async def ask(self, message: messages.ClientRequest, route: int | None = None) -> messages.Answer:
        """Seal, send, open. A refusal that cannot be sealed is an AssertionError."""
        info = session_info(FleetId(self.fleet.fleet), self.manifest.digest)
        sealed = seal_request(self.fleet.kem_public, info, message, os.urandom(32))
        request = Request(
            id=1, fleet=self.fleet.fleet, route=SUBJECT.route() if route is None else route, sealed=sealed.sealed
        )
        self.replies.append(await self.service.answer(request))
        return open_answer(sealed, self.replies[-1].sealed)

    def account_token(self, scopes: tuple[str, ...] = ("vault:register", "vault:recover", "vault:status")) -> str:
        return issue_account_token(
            private_key(500_001),
            tenant=TENANT,
            account=ACCOUNT,
            fleets=[self.fleet.fleet],
            scopes=scopes,
            now=self.clock.at,
        )

    async def register(self, code: str = "right", number: int = 1) -> bytes:
        """Register and activate; return the export key."""
        token, identities = self.account_token(), identities_of(self.fleet)
        start = client.register_start(password(code, self.fleet), 12345)
        started = expect(
            await self.ask(messages.RegisterStart(token=token, name=NAME, blinded=start.element)),
            messages.RegisterStarted,
        )
        record, export_key = client.register_finish(
            start,
            evaluated=started.evaluated,
            server_public_key=started.server_public_key,
            envelope_nonce=os.urandom(32),
            identities=identities,
            stretch=lambda data: data,
        )
        registration_id = RegistrationId(bytes([number]) * 16)
        finish = messages.RegisterFinish(
            ticket=started.ticket,
            registration_id=registration_id,
            opaque_record=record,
            payload=PAYLOAD,
            owner_public_key=owner_public_key(export_key),
        )
        expect(await self.ask(finish), messages.RegisterFinished)
        activate = messages.Activate(token=token, name=NAME, registration_id=registration_id, owner_signature=b"")
        expect(await self.ask(activate), messages.Activated)
        return export_key

    def guess(self, code: str = "right", number: int = 1) -> tuple[client.ClientLoginState, messages.RecoverStart]:
        login = client.login_start(
            password(code, self.fleet),
            client.LoginRandomness(blind=1000 + number, nonce=bytes([number]) * 32, keyshare_seed=bytes([number]) * 32),
        )
        start = messages.RecoverStart(
            token=self.account_token(), name=NAME, attempt_id=AttemptId(bytes([number]) * 16), ke1=login.ke1
        )
        return login, start

    def prove(self, login: client.ClientLoginState, started: messages.RecoverStarted) -> messages.RecoverFinish:
        result = client.login_finish(
            login,
            started.ke2,
            identities=identities_of(self.fleet),
            context=CONTEXT,
            stretch=lambda data: data,
            server_public_key=self.fleet.opaque_public,
        )
        return messages.RecoverFinish(ticket=started.ticket, ke3=result.ke3)


def password(code: str, fleet: Fleet) -> bytes:
    return oprf_input(code, subject=SUBJECT, fleet=fleet.fleet)


def identities_of(fleet: Fleet) -> Identities:
    return Identities(client=client_identity(SUBJECT), server=server_identity(fleet.fleet))


def expect(answer: messages.Answer, kind: type[T]) -> T:
    """Return the answer as what it has to be."""
    assert isinstance(answer, kind), answer
    return answer


def denied(answer: messages.Answer) -> DenyReason:
    """Return why a request was refused by policy."""
    refusal = expect(answer, messages.Refusal)
    assert refusal.family == 2, refusal
    return DenyReason(refusal.reason)


def case_on(made: ReplicaToken, token: Pkcs11Token, policy: AttemptPolicy = POLICY) -> Case:
    """Put a service together as `replica.program` does, on an open token."""
    commitments = made.commitments
    fleet = replace(
        example_fleet(),
        kem_public=commitments.kem_public,
        opaque_public=commitments.opaque_public,
        seal_check=commitments.seal_check,
        id_check=commitments.id_check,
        attempts=policy,
        tenants=(TenantKeys(tenant=TENANT, keys=(tenant_key_of(private_key(500_001)),)),),
    )
    manifest = parse_manifest(
        encode_manifest(
            namespace="vault.example/fleets",
            epoch=1,
            previous_sha256=None,
            issued_at=NOW,
            not_before=NOW,
            not_after=NOW + 86_400,
            fleets=(fleet,),
        )
    )
    fleet = manifest.fleets[0]
    tokens, voters, clock = SpyTokens(token), group(3), Time()
    charges = HourlyLimit("charges", policy.charges_per_hour)
    desk = Desk(
        fleet=fleet,
        epoch=1,
        group=fleet.groups[0],
        replica=ReplicaId(1),
        tokens=tokens,
        register=register(voters, deadline=0.5),
        clock=clock,
        entropy=TokenEntropy(tokens),
        charges=charges,
        destructions=HourlyLimit("destructions", policy.destructions_per_hour),
        ticket_seconds=300,
    )
    service = Service(desk, manifest, lambda: b"the bundle")
    return Case(tokens, voters, clock, fleet, manifest, service, charges)
