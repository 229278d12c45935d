"""What every operation of a replica needs: the fleet it serves, its token, the registers, time and randomness."""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.errors import ProtocolError
from hsm_app.fleet.account import check_account_token
from hsm_app.fleet.manifest import Fleet, Group
from hsm_app.fleet.routing import group_of
from hsm_app.model import RecordId, ReplicaId, Subject
from hsm_app.ports import Clock, TokenQueue
from hsm_app.replica.entropy import TokenEntropy
from hsm_app.replica.limits import HourlyLimit
from hsm_app.replica.register import Register


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One replica's tools, made once at start. `charges` and `destructions` are the tenants' hourly limits."""

    fleet: Fleet
    epoch: int
    group: Group
    replica: ReplicaId
    tokens: TokenQueue
    register: Register
    clock: Clock
    entropy: TokenEntropy
    charges: HourlyLimit
    destructions: HourlyLimit
    ticket_seconds: int

    def authorise(self, token: str, name: str, scope: str, route: int) -> Subject:
        """Return whose record an account token speaks for. Denied(BAD_ACCOUNT_TOKEN), or ProtocolError (route).

        The token is checked here and nowhere else; a ticket carries its claims to the second message.
        """
        claims = check_account_token(token, self.fleet, scope, self.clock.now())
        subject = Subject(tenant=claims.tenant, account=claims.account, name=name)
        self.check_route(subject, route)
        return subject

    def check_route(self, subject: Subject, route: int) -> None:
        """Refuse a request that came under another record's route, or to a group that does not hold the record."""
        if subject.route() != route:
            raise ProtocolError("the route of a request is not its record's", "The client or the relay is at fault")
        if group_of(self.fleet, route) is not self.group:
            raise ProtocolError("the record belongs to another group", "The relay's list of groups is wrong")

    async def record_id(self, subject: Subject) -> RecordId:
        text = subject.text().encode()
        return await self.tokens.run(lambda token: token.record_id(text))
