"""The room in which a ceremony happens, as the program sees it: a screen to show on, a keyboard to read from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hsm_app.errors import VaultError


class RoomClosed(VaultError):
    """People paused the ceremony, or the terminal is gone. What is done is written down, and `resume` goes on."""

    exit_code = 5


class Room(Protocol):
    """Every method raises RoomClosed when the terminal is gone or somebody interrupts."""

    def open_step(self, number: int, of: int, step: str, title: str, roles: str) -> None:
        """Begin a fresh screen: the ceremony's name, step `number` of `of`, the time (UTC), who is present."""

    def say(self, text: str) -> None:
        """Show a paragraph."""

    def ask(self, prompt: str) -> str:
        """Return one line that somebody typed, without blanks around it; none that `is_like_a_share`."""

    def show_share(self, custodian: str, words: Sequence[str]) -> None:
        """Show a share to its custodian alone. When this returns or raises, screen and scroll-back are clear."""

    def ask_share(self, custodian: str) -> str:
        """Return the words that a custodian typed. When this returns or raises, screen and scroll-back are clear."""

    def wait(self, text: str) -> None:
        """Say that something takes time now."""
