"""One link connection between two replicas, from its first byte to its last.

It opens with hellos, keys from both tokens, and confirmations (`wire.hello`, `wire.link`); afterwards every frame is
sealed. The dialler speaks first, and the listener asks its token only once a hello fits, so that a stranger who
connects costs it nothing. Nobody is believed before the first frame under the derived keys has opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from hsm_app.errors import ProtocolError
from hsm_app.fleet.manifest import Replica
from hsm_app.model import LinkKeys, ReplicaId
from hsm_app.net.address import Address, dial
from hsm_app.net.connection import FrameConnection
from hsm_app.ports import Token, TokenQueue
from hsm_app.wire.hello import Hello, check_hello, decode_hello, encode_hello, transcript
from hsm_app.wire.link import LINK_FRAME_LIMIT, LinkSession, Role

T = TypeVar("T")

HANDSHAKE_SECONDS = 3.0  # two token operations at each end; a stopped process still accepts connections
LINK_PURPOSE = b"hsm-vault/link/v1/fleet"  # of `Token.message_key`: no other begins like it
EARLY_FRAMES = 8  # a confirmation, and the batches a dialler may send before the listener's task has looked at it


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkIdentity:
    """What this replica brings to each of its links. The nonce of `hello` is replaced by a fresh one each time.

    `members` is the whole group of the manifest.
    """

    hello: Hello
    members: Mapping[ReplicaId, Replica]
    tokens: TokenQueue

    async def own_hello(self) -> Hello:
        nonce = await self.tokens.run(lambda token: token.random(32))
        return replace(self.hello, nonce=nonce)

    def check(self, frame: bytes, dialled: ReplicaId | None) -> Hello:
        """Return the peer's hello. ProtocolError when it cannot be a peer of ours."""
        peer = decode_hello(frame)
        incarnations = {int(replica): member.incarnation for replica, member in self.members.items()}
        check_hello(self.hello, peer, incarnations, dialled=dialled)
        return peer

    async def session(self, peer: Hello, bound: bytes, role: Role) -> LinkSession:
        """Derive this connection's keys; `bound` is the transcript, 32 bytes.

        VAULT-LINK-HOLDS-ROOT: `fleet-seal` goes into them, so the peer's token holds the fleet's root, which only a
        security officer can have brought there. A manifest, which nobody has to sign yet, makes nobody a member alone.
        """
        public = self.members[ReplicaId(peer.replica)].link_public

        def keys(token: Token) -> LinkKeys:
            return token.link_keys(public, bound + token.message_key(LINK_PURPOSE, bound))

        return LinkSession(await self.tokens.run(keys), role)


class Link:
    """One connection. What the peer's frames hold goes to `on_content`, which may raise ProtocolError: the link ends.

    `on_connect` is called when the socket is connected and nothing has been said yet.
    """

    def __init__(
        self,
        identity: LinkIdentity,
        *,
        on_content: Callable[[Link, bytes], None],
        on_connect: Callable[[Link], None] | None = None,
    ) -> None:
        self.connection = FrameConnection(
            limit=LINK_FRAME_LIMIT,
            idle_seconds=None,
            on_frame=self._received,
            on_close=self._closed,
            on_open=None if on_connect is None else lambda _connection: on_connect(self),
        )
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()  # why, for the log
        self._identity = identity
        self._on_content = on_content
        self._early: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: the connection has ended
        self._session: LinkSession | None = None

    @property
    def is_open(self) -> bool:
        """True from the peer's confirmation to the end."""
        return self._session is not None and self.connection.is_open

    async def dial(self, address: Address, dialled: ReplicaId) -> None:
        """Connect and open the link as its dialler. OSError, ProtocolError or TokenError says why it failed."""
        await _in_time(self._dial(address, dialled))

    async def answer(self) -> ReplicaId:
        """Open the link as the side that was called, and return who calls. Errors as in `dial`."""
        return await _in_time(self._answer())

    async def _dial(self, address: Address, dialled: ReplicaId) -> None:
        await dial(address, lambda: self.connection)
        own = await self._identity.own_hello()
        self.connection.send(encode_hello(own))
        peer = self._identity.check(await self._next(), dialled)
        await self._confirm(await self._identity.session(peer, transcript(own, peer), Role.DIALLER))

    async def _answer(self) -> ReplicaId:
        peer = self._identity.check(await self._next(), None)
        own = await self._identity.own_hello()
        self.connection.send(encode_hello(own))
        await self._confirm(await self._identity.session(peer, transcript(peer, own), Role.LISTENER))
        return ReplicaId(peer.replica)

    async def _confirm(self, session: LinkSession) -> None:
        self.connection.send(session.confirmation())
        session.confirm(await self._next())
        self._session = session
        while not self._early.empty():  # sent by the peer as soon as it had our confirmation
            self._on_content(self, session.open(await self._next()))

    async def _next(self) -> bytes:
        frame = await self._early.get()
        if frame is None:
            raise ProtocolError(f"the peer hung up ({self.ended.result()})", "Its log says why")
        return frame

    def _received(self, _connection: FrameConnection, frame: bytes) -> None:
        if self._session is not None:
            self._on_content(self, self._session.open(frame))
        elif self._early.qsize() < EARLY_FRAMES:
            self._early.put_nowait(frame)
        else:
            raise ProtocolError("too many frames before the handshake is done")

    def _closed(self, _connection: FrameConnection, reason: str) -> None:
        self.ended.set_result(reason)
        self._early.put_nowait(None)

    def send(self, content: bytes) -> None:
        """Seal and send. The link is open, or was: after its end this does nothing."""
        if self._session is not None and self.connection.is_open:
            self.connection.send(self._session.seal(content))


async def _in_time(opening: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            return await opening
    except TimeoutError:
        raise ProtocolError(f"no link within {HANDSHAKE_SECONDS:g} s", "Is the peer stopped?") from None
