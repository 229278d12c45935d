"""Whose rows a store holds. A store is opened for one owner and refuses any other."""

from __future__ import annotations

from dataclasses import dataclass

from hsm_app.model import FleetId, ReplicaId


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOwner:
    """One replica of one fleet."""

    fleet: FleetId
    replica: ReplicaId
