"""What a deed may ask of the ceremony that is being played."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hsm_app.ceremony.script import Confirmation


class Notes(Protocol):
    """`Play` is it. Each call may raise StoreError, and RoomClosed when people stop."""

    def confirm(self, confirmation: Confirmation) -> None:
        """Ask the room, with an exception sheet for any other answer."""

    def heard(self, token: str, operation: Mapping[str, Any]) -> None:
        """Write down one call that a token was asked for."""

    def excuse(self, what: str) -> None:
        """Open an exception sheet and go on."""
