"""A client that knows nobody's keys asks for them: any replica's bundle will do, since it proves itself."""

from __future__ import annotations

from hsm_app.client.patience import patiently
from hsm_app.client.randomness import random_route
from hsm_app.client.transport import RelayConnection
from hsm_app.client.trust import Trust
from hsm_app.errors import QuorumError
from hsm_app.fleet.manifest import Manifest
from hsm_app.net.address import Address
from hsm_app.wire.envelopes import ASK_FOR_BUNDLE, printable_hint


async def learn(relay: Address, trust: Trust, *, fleet: str, patience: float) -> Manifest:
    """Ask for a bundle and return the manifest that `trust` believes because of it.

    `fleet` names whose replicas are asked, "" for any. QuorumError when none came within `patience` seconds, LogError
    when what came is not to be believed. Nothing of the account is sent, not even its route.
    """
    connection = RelayConnection(relay, fleet)

    async def ask(seconds: float) -> Manifest:
        response = await connection.ask(random_route(), ASK_FOR_BUNDLE, seconds)
        if not response.bundle:
            hint = printable_hint(response.detail)
            raise QuorumError(f"no replica has proved its keys; the relay says: {hint or 'nothing'}")
        return trust.follow(response.bundle)

    try:
        return await patiently(ask, patience)
    finally:
        await connection.close()
