"""The people whose keys the benchmark keeps, and what their devices say: the client's own code, without its waiting.

Argon2id runs on the device and costs the fleet nothing, so the fleet under test asks for the least of it (`fleet.py`),
and the costs of a real fleet are measured apart. Everything else is what the client library does.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from hsm_app.client.opaque_session import OpaqueSession
from hsm_app.fleet.account import LIFETIME, Scope
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.model import AttemptId, RegistrationId, Subject
from hsm_app.operator.tenant import issue_account_token, read_private_key
from hsm_app.vault.owner import owner_public_key
from hsm_app.vault.payload import NONCE, open_secret, seal_secret
from hsm_app.wire import messages
from hsm_app.wire.session import RESPONSE_KEY, SealedRequest, seal_request, session_info
from load import Job, Line, LoadError

TENANT = "demo"
NAME = "backup"
ID = 16  # bytes of attempt and registration ids
CODE = "the recovery code of everybody"


class World:
    """What all devices know: the manifest; and, since this is development, the tenant's key."""

    def __init__(self, directory: Path) -> None:
        manifest = parse_manifest((directory / "manifest.json").read_bytes())
        self.fleet = manifest.fleets[0]
        self.epoch = manifest.epoch
        self._tenant_key = read_private_key(directory / "tenant" / f"{TENANT}.pem")
        self._info = session_info(self.fleet.fleet, manifest.digest)

    def account_token(self, account: str) -> str:
        return issue_account_token(
            self._tenant_key,
            tenant=TENANT,
            account=account,
            fleets=[self.fleet.fleet],
            scopes=Scope.ALL,
            now=int(time.time()),
            lifetime=LIFETIME,
        )

    def seal(self, request: messages.ClientRequest) -> SealedRequest:
        return seal_request(self.fleet.kem_public, self._info, request, os.urandom(RESPONSE_KEY))


@dataclass(slots=True)
class Person:
    """One account with one record."""

    world: World
    account: str
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    @property
    def subject(self) -> Subject:
        return Subject(tenant=TENANT, account=self.account, name=NAME)

    def registration(self, line: Line) -> Job:
        """Make the first message of a registration; the job that is returned sends it and does the rest."""
        world, session, route = self.world, OpaqueSession(self.world.fleet, self.subject), self.subject.route()
        token, registration_id = world.account_token(self.account), RegistrationId(os.urandom(ID))
        start = session.start_registration(CODE)
        first = world.seal(messages.RegisterStart(token=token, name=NAME, blinded=start.blinded))

        async def job() -> None:
            started = await line.ask(route, first, messages.RegisterStarted)
            record, export_key = session.finish_registration(start, started.evaluated, started.server_public_key)
            finish = messages.RegisterFinish(
                ticket=started.ticket,
                registration_id=registration_id,
                opaque_record=record,
                payload=seal_secret(
                    self.secret,
                    export_key=export_key,
                    nonce=os.urandom(NONCE),
                    fleet=world.fleet.fleet,
                    subject=self.subject,
                ),
                owner_public_key=owner_public_key(export_key),
            )
            await line.ask(route, world.seal(finish), messages.RegisterFinished)
            activate = messages.Activate(token=token, name=NAME, registration_id=registration_id, owner_signature=b"")
            await line.ask(route, world.seal(activate), messages.Activated)

        return job

    def recovery(self, line: Line) -> Job:
        """Make the first message of a recovery; the job sends it, does the rest, and checks the secret."""
        world, session, route = self.world, OpaqueSession(self.world.fleet, self.subject), self.subject.route()
        token, attempt_id = world.account_token(self.account), AttemptId(os.urandom(ID))
        login = session.start_login(CODE)
        first = world.seal(messages.RecoverStart(token=token, name=NAME, attempt_id=attempt_id, ke1=login.ke1))

        async def job() -> None:
            started = await line.ask(route, first, messages.RecoverStarted)
            ke3, export_key = session.finish_login(login, started.ke2)
            finish = world.seal(messages.RecoverFinish(ticket=started.ticket, ke3=ke3))
            recovered = await line.ask(route, finish, messages.Recovered)
            secret = open_secret(
                recovered.payload, export_key=export_key, fleet=world.fleet.fleet, subject=self.subject
            )
            if secret != self.secret:
                raise LoadError("another secret came back")

        return job
