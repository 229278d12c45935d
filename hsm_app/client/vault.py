"""The vault as an app uses it: keep a secret behind a recovery code, and get it back.

    async with AsyncVault(config) as vault:
        receipt = await vault.register(code, secret)
        recovery = await vault.recover(code)

`Vault` in `client.blocking` is the same without asyncio. Nothing here touches the disk or the terminal, and the code
never leaves the process: what is sent is a blinded element of it (RFC 9497) and proofs.

Every operation is safe to repeat after a QuorumError. It raises Denied for what the fleet's policy refuses (`reason`
says why; `attempts_left` and `retry_after` where they are known), QuorumError when no majority was reached in time,
ProtocolError when the other side is not what the manifest says, and ConfigError for a setting, a token file or a code
that cannot be one.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import NoReturn

from hsm_app.client.account_token import check_names
from hsm_app.client.config import VaultConfig
from hsm_app.client.exchange import Exchange
from hsm_app.client.opaque_session import OpaqueSession
from hsm_app.client.randomness import random_bytes
from hsm_app.client.results import Receipt, Recovery, Removal, SignedStatus
from hsm_app.client.transport import RelayConnection
from hsm_app.errors import ConfigError, Denied, DenyReason, ProtocolError, QuorumError, VaultError
from hsm_app.fleet.manifest import Fleet, FleetState, check_window
from hsm_app.fleet.routing import group_of
from hsm_app.model import AttemptId, RegistrationId
from hsm_app.opaque.envelope import AuthenticationFailed
from hsm_app.vault.owner import NO_REGISTRATION, Action, OwnerStatement, owner_public_key, sign
from hsm_app.vault.payload import NONCE, open_secret, seal_secret
from hsm_app.vault.recovery_code import choose_code, enter_code
from hsm_app.wire import messages
from hsm_app.wire.status import open_status

ID = 16  # bytes of attempt and registration ids
KE3 = 32  # bytes, RFC 9807 section 6.1
STATUS_NONCE = 32  # bytes


class AsyncVault:
    """One account's record in the vault. Operations may run at the same time; they share one connection."""

    def __init__(self, config: VaultConfig) -> None:
        """ConfigError when the fleet is not one to work with: not listed, revoked, or below the policy."""
        self._config = config
        self._subject = config.subject
        self._connection = RelayConnection(config.relay, config.fleet)
        self._exchange = Exchange(config, self._connection)
        self._opaque = OpaqueSession(self._fleet, config.subject)

    async def __aenter__(self) -> AsyncVault:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; the next operation opens a new one."""
        await self._connection.close()

    async def register(
        self, code: str, secret: bytes, *, owner_key: bytes | None = None, replace: bool = False
    ) -> Receipt:
        """Keep `secret` (1 to 1024 bytes) behind `code`, which a person chose or `generate_code` made.

        When a record is live already, its owner's key makes the new one take its place at once. Without that key this
        is Denied(OWNER_REQUIRED), or with `replace` a replacement that waits for the policy's delay. An error is
        `ambiguous` when the new code may be in use all the same: whoever delivers the last message may have delivered
        it before, and an answer to one delivery, whatever it says, is no answer to the others.
        """
        self._check_active()
        start = self._opaque.start_registration(choose_code(code))
        started = await self._exchange.ask(
            messages.RegisterStart(token=self._token(), name=self._subject.name, blinded=start.blinded),
            messages.RegisterStarted,
        )
        if started.live and owner_key is None and not replace:
            raise _live_already()
        record, export_key = await asyncio.to_thread(
            self._opaque.finish_registration, start, started.evaluated, started.server_public_key
        )
        registration_id = RegistrationId(random_bytes(ID))
        await self._exchange.ask(
            messages.RegisterFinish(
                ticket=started.ticket,
                registration_id=registration_id,
                opaque_record=record,
                payload=self._payload(secret, export_key),
                owner_public_key=owner_public_key(export_key),
            ),
            messages.RegisterFinished,
        )
        signature = self._signature(owner_key, Action.ACTIVATE, started.generation, registration_id)
        try:
            return await self._activate(registration_id, signature if started.live else b"", export_key)
        except VaultError as error:
            error.ambiguous = True
            raise

    async def activate(self, receipt: Receipt) -> Receipt:
        """Make a replacement live whose wait is over. Before that nothing changes, and `due_at` says when it is."""
        return await self._activate(receipt.registration_id, b"", receipt.owner_key)

    async def change(self, new_code: str, *, secret: bytes, owner_key: bytes) -> Receipt:
        """Put `secret` behind a new code at once; the old code is worth nothing afterwards."""
        return await self.register(new_code, secret, owner_key=owner_key)

    async def change_code(self, code: str, new_code: str) -> Receipt:
        """Put the secret behind a new code, for whoever knows the present one."""
        choose_code(new_code)  # refused before an attempt is spent
        recovery = await self.recover(code)
        return await self.change(new_code, secret=recovery.secret, owner_key=recovery.owner_key)

    async def recover(self, code: str) -> Recovery:
        """Return the secret behind `code`. This charges one attempt, and a right code gives it back.

        Denied(WRONG_CODE) says how many attempts are left; the last wrong one destroys the record. A generated code
        that is mistyped is a ConfigError, found before anything is sent.
        """
        login = self._opaque.start_login(enter_code(code))
        started = await self._exchange.ask(
            messages.RecoverStart(
                token=self._token(),
                name=self._subject.name,
                attempt_id=AttemptId(random_bytes(ID)),
                ke1=login.ke1,
            ),
            messages.RecoverStarted,
        )
        try:
            ke3, export_key = await asyncio.to_thread(self._opaque.finish_login, login, started.ke2)
        except AuthenticationFailed:
            await self._admit_failure(started.ticket)
        recovered = await self._exchange.ask(messages.RecoverFinish(ticket=started.ticket, ke3=ke3), messages.Recovered)
        return Recovery(
            secret=open_secret(
                recovered.payload, export_key=export_key, fleet=self._fleet.fleet, subject=self._subject
            ),
            owner_key=export_key,
            generation=recovered.generation,
            events=recovered.events,
        )

    async def delete(self, owner_key: bytes | None = None) -> Removal:
        """Delete the record: at once with the owner's key, else after a delay, when it has to be asked for again."""
        signature = b""
        if owner_key is not None:
            signature = self._signature(owner_key, Action.DELETE, (await self.status()).body.generation)
        answer: messages.Deleted | messages.Scheduled = await self._exchange.ask(
            messages.Delete(token=self._token(), name=self._subject.name, owner_signature=signature),
            messages.Deleted,
            messages.Scheduled,
        )
        if isinstance(answer, messages.Scheduled):
            return Removal(due_at=answer.due_at)
        return Removal(generation=answer.generation)

    async def cancel(self, owner_key: bytes) -> int:
        """Cancel a deletion or replacement that waits; return the generation of the record, which stays."""
        signature = self._signature(owner_key, Action.CANCEL, (await self.status()).body.generation)
        answer = await self._exchange.ask(
            messages.Cancel(token=self._token(), name=self._subject.name, owner_signature=signature),
            messages.Cancelled,
        )
        return answer.generation

    async def status(self) -> SignedStatus:
        """Return what one replica's token vouches for: state, attempts left, what waits, and the last events.

        Verified are the signature, under that replica's key in the manifest, and that it answers this very question.
        """
        nonce = random_bytes(STATUS_NONCE)
        report = await self._exchange.ask(
            messages.Status(token=self._token(), name=self._subject.name, nonce=nonce), messages.StatusReport
        )
        body = open_status(
            report,
            self._identity(report.replica),
            fleet=self._fleet.fleet,
            epoch=self._exchange.session.manifest.epoch,
            subject=self._subject.text(),
            nonce=nonce,
        )
        return SignedStatus(body=body, report=report)

    async def _activate(self, registration_id: RegistrationId, signature: bytes, owner_key: bytes) -> Receipt:
        answer: messages.Activated | messages.Scheduled = await self._exchange.ask(
            messages.Activate(
                token=self._token(),
                name=self._subject.name,
                registration_id=registration_id,
                owner_signature=signature,
            ),
            messages.Activated,
            messages.Scheduled,
        )
        if isinstance(answer, messages.Scheduled):
            return Receipt(registration_id=registration_id, owner_key=owner_key, due_at=answer.due_at)
        return Receipt(registration_id=registration_id, owner_key=owner_key, generation=answer.generation)

    async def _admit_failure(self, ticket: bytes) -> NoReturn:
        """Tell the vault that the attempt failed, so that it is noted now; raise what it says.

        Any KE3 but the right one tells it. The device knows already (RFC 9807 section 9.2), so nothing is given away.
        """
        try:
            await self._exchange.ask(messages.RecoverFinish(ticket=ticket, ke3=random_bytes(KE3)), messages.Recovered)
        except QuorumError as error:
            raise Denied(DenyReason.WRONG_CODE, "the recovery code is wrong", "Check the code and try again") from error
        raise ProtocolError("the fleet took random bytes for a proof", "Do not use this fleet; tell its operator")

    def _payload(self, secret: bytes, export_key: bytes) -> bytes:
        return seal_secret(
            secret, export_key=export_key, nonce=random_bytes(NONCE), fleet=self._fleet.fleet, subject=self._subject
        )

    def _signature(
        self,
        owner_key: bytes | None,
        action: Action,
        generation: int,
        registration_id: RegistrationId = NO_REGISTRATION,
    ) -> bytes:
        if owner_key is None:
            return b""
        statement = OwnerStatement(
            fleet=self._fleet.fleet,
            subject=self._subject,
            action=action,
            generation=generation,
            registration_id=registration_id,
        )
        return sign(owner_key, statement)

    def _token(self) -> str:
        check_window(self._exchange.session.manifest, int(time.time()))
        token = self._config.account_token()
        check_names(token, self._subject)
        return token

    @property
    def _fleet(self) -> Fleet:
        return self._exchange.session.fleet

    def _check_active(self) -> None:
        if self._fleet.state is not FleetState.ACTIVE:
            raise ConfigError(
                f"the fleet {self._fleet.fleet} takes no new registrations: it is {self._fleet.state.value}",
                "Register in an active fleet; `hsm-vault client migrate` brings a record there",
            )

    def _identity(self, replica: int) -> bytes:
        try:
            return group_of(self._fleet, self._subject.route()).find(replica).identity_public
        except ConfigError as error:
            raise ProtocolError(f"a status report comes from nowhere: {error.what}", "Ask again") from error


def _live_already() -> Denied:
    return Denied(
        DenyReason.OWNER_REQUIRED,
        "a record is live under this name already",
        "Recover it, or change its code from a device that holds its owner's key; a replacement without that key waits",
    )
