"""Records and tickets between their sealed form and values: each message key comes from the token and is used once.

Opening a record and sealing its successor need two keys; both are asked for in one trip to the token, since the trip
costs more than the second HMAC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hsm_app.errors import Denied
from hsm_app.model import FleetId, RecordId
from hsm_app.ports import Token
from hsm_app.replica.desk import Desk
from hsm_app.replica.register import Change
from hsm_app.vault.record import Outcome, Record
from hsm_app.vault.sealing import Purpose, Seal, nonce_of, seal, unseal
from hsm_app.vault.step import apply

T = TypeVar("T")


async def update(desk: Desk, record_id: RecordId, transition: Callable[[Record], Outcome[T | Denied]]) -> T:
    """Apply a pure transition to a record by majority vote and return its answer, chosen; raise its Denied likewise.

    Raises QuorumError, Denied, StoreError (a value that does not open), TokenError.
    """
    about = _seal(desk, Purpose.RECORD, record_id)

    async def change(value: bytes) -> Change[T | Denied]:
        fresh = await desk.entropy.take(32)

        def keys(token: Token) -> tuple[bytes, bytes]:
            purpose = about.purpose.value
            opening = token.message_key(purpose, nonce_of(about, value)) if value else b""
            return opening, token.message_key(purpose, fresh)

        opening, sealing = await desk.tokens.run(keys)
        plain, answer = apply(unseal(about, key=opening, sealed=value) if value else b"", transition)
        if plain is None:
            return Change(None, answer)
        return Change(seal(about, key=sealing, nonce=fresh, plaintext=plain), answer)

    answer = await desk.register.update(record_id, change)
    if isinstance(answer, Denied):
        raise answer
    return answer


async def open_ticket(desk: Desk, purpose: Purpose, sealed: bytes) -> bytes:
    """Return a ticket's bytes. ProtocolError when it is not one of this fleet, group and purpose."""
    about = _seal(desk, purpose)
    nonce = nonce_of(about, sealed)
    key = await desk.tokens.run(lambda token: token.message_key(purpose.value, nonce))
    return unseal(about, key=key, sealed=sealed)


def seal_ticket(desk: Desk, purpose: Purpose, plaintext: bytes, *, key: bytes, nonce: bytes) -> bytes:
    """Seal a ticket under the token's message key for `purpose` and `nonce` (32 fresh bytes)."""
    return seal(_seal(desk, purpose), key=key, nonce=nonce, plaintext=plaintext)


def _seal(desk: Desk, purpose: Purpose, record: RecordId | None = None) -> Seal:
    return Seal(purpose=purpose, fleet=FleetId(desk.fleet.fleet), group=desk.group.group, record=record)
