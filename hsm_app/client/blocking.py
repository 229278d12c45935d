"""The vault for programs without asyncio: `AsyncVault`, one operation at a time, each with its own connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from hsm_app.client.config import VaultConfig
from hsm_app.client.results import Receipt, Recovery, Removal, SignedStatus
from hsm_app.client.vault import AsyncVault

T = TypeVar("T")


class Vault:
    """One account's record in the vault. The methods are those of `AsyncVault`, and raise the same errors."""

    def __init__(self, config: VaultConfig) -> None:
        self._config = config

    def register(self, code: str, secret: bytes, *, owner_key: bytes | None = None, replace: bool = False) -> Receipt:
        """Keep `secret` (1 to 1024 bytes) behind `code`."""
        return self._run(lambda vault: vault.register(code, secret, owner_key=owner_key, replace=replace))

    def activate(self, receipt: Receipt) -> Receipt:
        """Make a replacement live whose wait is over."""
        return self._run(lambda vault: vault.activate(receipt))

    def change(self, new_code: str, *, secret: bytes, owner_key: bytes) -> Receipt:
        """Put `secret` behind a new code at once."""
        return self._run(lambda vault: vault.change(new_code, secret=secret, owner_key=owner_key))

    def change_code(self, code: str, new_code: str) -> Receipt:
        """Put the secret behind a new code, for whoever knows the present one."""
        return self._run(lambda vault: vault.change_code(code, new_code))

    def recover(self, code: str) -> Recovery:
        """Return the secret behind `code`; Denied(WRONG_CODE) says how many attempts are left."""
        return self._run(lambda vault: vault.recover(code))

    def delete(self, owner_key: bytes | None = None) -> Removal:
        """Delete the record: at once with the owner's key, else after a delay."""
        return self._run(lambda vault: vault.delete(owner_key))

    def cancel(self, owner_key: bytes) -> int:
        """Cancel a deletion or replacement that waits; return the generation of the record."""
        return self._run(lambda vault: vault.cancel(owner_key))

    def status(self) -> SignedStatus:
        """Return what one replica's token vouches for."""
        return self._run(lambda vault: vault.status())

    def _run(self, operation: Callable[[AsyncVault], Awaitable[T]]) -> T:
        async def run() -> T:
            async with AsyncVault(self._config) as vault:
                return await operation(vault)

        return asyncio.run(run())
