"""The one place where the client draws random bytes: from the operating system."""

from __future__ import annotations

import secrets

from hsm_app.model import ROUTES


def random_bytes(length: int) -> bytes:
    """Return `length` unpredictable bytes."""
    return secrets.token_bytes(length)


def random_route() -> int:
    """Return a route that is nobody's in particular."""
    return secrets.randbelow(ROUTES)


def random_share(whole: float) -> float:
    """Return a length of time from half of `whole` to all of it, so that clients do not come back in step."""
    return whole * (0.5 + secrets.randbelow(1 << 20) / (1 << 21))
