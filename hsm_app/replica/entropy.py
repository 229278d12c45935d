"""Random bytes from the token, fetched in blocks, so that a nonce costs no trip to the owner thread."""

from __future__ import annotations

from hsm_app.ports import TokenQueue

BLOCK = 4096  # bytes; one request needs about 300
LOW = 1024


class TokenEntropy:
    """Hands out each byte once. Call `reserve` before a request and `take` within it."""

    def __init__(self, tokens: TokenQueue) -> None:
        self._tokens = tokens
        self._pool = bytearray()

    async def reserve(self) -> None:
        """See to it that at least `LOW` bytes are at hand. TokenError when the token gives none."""
        while len(self._pool) < LOW:
            self._pool += await self._tokens.run(lambda token: token.random(BLOCK))

    async def take(self, length: int) -> bytes:
        """Return `length` fresh bytes."""
        while len(self._pool) < length:
            await self.reserve()
        taken = bytes(self._pool[:length])
        del self._pool[:length]
        return taken
