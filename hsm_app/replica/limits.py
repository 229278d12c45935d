"""Limits per tenant and hour, so that a stolen tenant key cannot spray wrong guesses over everyone.

Held in this replica's memory: a fleet of n replicas allows up to n times the figure in the manifest, and a restart
forgets what was counted. It slows a mass attack down; the ten guesses of a record do not depend on it.
"""

from __future__ import annotations

from collections import deque

from hsm_app.errors import Denied, DenyReason

HOUR = 3600


class HourlyLimit:
    """At most `limit` events an hour for each tenant; the window slides."""

    def __init__(self, what: str, limit: int) -> None:
        self._what = what
        self._limit = limit
        self._events: dict[str, deque[int]] = {}

    def spend(self, tenant: str, now: int) -> None:
        """Count one event. Denied(TENANT_LIMIT) when the tenant has had its share."""
        events = self._events.setdefault(tenant, deque(maxlen=self._limit))
        while events and events[0] <= now - HOUR:
            events.popleft()
        if len(events) >= self._limit:
            raise Denied(
                DenyReason.TENANT_LIMIT,
                f"this tenant has used its {self._limit} {self._what} of the hour",
                "Try again later; if you are the tenant, look for a stolen key",
                retry_after=max(1, events[0] + HOUR - now),
            )
        events.append(now)
