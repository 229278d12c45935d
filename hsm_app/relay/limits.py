"""How much one source may ask of the relay: a token bucket per address, and a count of its open connections.

This keeps one noisy source from crowding out the others. It is no part of the guess limit, which the fleet holds.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

SOURCES_KEPT = 65_536  # about 10 MB; the least recently seen source is forgotten first, and starts with a full bucket


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """`requests_per_second` refills a bucket of `burst` requests; `connections` may be open at once per source."""

    requests_per_second: float
    burst: int
    connections: int


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float
    connections: int = 0


class SourceTable:
    """The buckets of all sources seen lately. Time (seconds, monotonic) is an argument."""

    def __init__(self, limits: SourceLimits) -> None:
        self._limits = limits
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def connect(self, source: str, now: float) -> bool:
        """Count a new connection of `source`; False when it has its share already."""
        bucket = self._bucket(source, now)
        if bucket.connections >= self._limits.connections:
            return False
        bucket.connections += 1
        return True

    def disconnect(self, source: str) -> None:
        bucket = self._buckets.get(source)
        if bucket is not None and bucket.connections > 0:
            bucket.connections -= 1

    def spend(self, source: str, now: float) -> bool:
        """Take one request from the bucket of `source`; False when it is empty."""
        bucket = self._bucket(source, now)
        refill = (now - bucket.at) * self._limits.requests_per_second
        bucket.level = min(float(self._limits.burst), bucket.level + refill)
        bucket.at = now
        if bucket.level < 1.0:
            return False
        bucket.level -= 1.0
        return True

    def _bucket(self, source: str, now: float) -> _Bucket:
        bucket = self._buckets.get(source)
        if bucket is None:
            self._forget_one()
            bucket = self._buckets[source] = _Bucket(float(self._limits.burst), now)
        self._buckets.move_to_end(source)
        return bucket

    def _forget_one(self) -> None:
        if len(self._buckets) < SOURCES_KEPT:
            return
        idle = next((name for name, bucket in self._buckets.items() if not bucket.connections), None)
        if idle is not None:
            del self._buckets[idle]
