"""A device as the command line and an app see it: its settings, what it keeps, and the fleets it may work with.

One record lives in one fleet. While an operator moves from one fleet to another the manifest lists both: the new one
active, the old one recover-only. A device that knows where its record is works there. One that does not, such as a new
phone, asks every fleet that is not revoked, the active ones first; and when none has the record it says so, and never
registers anew by itself: an empty answer may be an attacker's, and would make people throw their old key away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress

from hsm_app.client.blocking import Vault
from hsm_app.client.config import ClientSettings, VaultConfig, read_pinned_manifest, usable_fleet, vault_config
from hsm_app.client.learning import learn
from hsm_app.client.results import Receipt, Recovery
from hsm_app.client.state import KEY_LENGTH, DeviceState
from hsm_app.client.trust import FollowedManifest, PinnedManifest, Trust
from hsm_app.errors import ConfigError, Denied, DenyReason, LogError, ProtocolError, QuorumError
from hsm_app.fleet.manifest import FleetState, Manifest
from hsm_app.root_files import read_trusted_root
from hsm_app.vault.record import State

ORDER = (FleetState.ACTIVE, FleetState.RECOVER_ONLY)


class Device:
    """Every method raises what the vault's operation raises, and ConfigError for a file or a fleet that is not fit.

    `say` is called with what a person has to be told, such as that the policy takes any fleet.
    """

    def __init__(self, settings: ClientSettings, say: Callable[[str], None]) -> None:
        """Read what is configured and kept. With a root of trust and no manifest yet, ask the fleet for one."""
        self.settings = settings
        self.state = DeviceState(settings.state_directory)
        self._say = say
        self._trust = trust_of(settings, self.state)
        if isinstance(self._trust, FollowedManifest) and not self._trust.is_known:
            self._learn()
        self.state.pin(self.manifest)

    @property
    def manifest(self) -> Manifest:
        return self._trust.manifest

    def state_of(self, fleet: str) -> FleetState:
        return self.manifest.fleet(fleet).state

    def config(self, fleet: str) -> VaultConfig:
        """Return what an `AsyncVault` of the record in one fleet works with."""
        config = vault_config(self.settings, self._trust, fleet)
        said = config.policy.check(usable_fleet(config, self.manifest))
        if said:
            self._say(said)
        return config

    def vault(self, fleet: str) -> Vault:
        """Return the record's vault in one fleet."""
        return Vault(self.config(fleet))

    def home(self) -> str:
        """Return the fleet that has the record: the one configured, the one remembered, or the one that says so."""
        fleets = self._candidates()
        if self.settings.fleet or self.state.fleet() or len(fleets) == 1:
            return fleets[0]
        found = (fleet for fleet in fleets if self.vault(fleet).status().body.state != State.EMPTY)
        return next(found, fleets[0])

    def new_home(self) -> str:
        """Return the fleet to register in: the configured one, or the only active one.

        A device that slept asks for the present manifest first: what it knows as active may have been left since.
        """
        if isinstance(self._trust, FollowedManifest):
            with suppress(QuorumError):  # whoever is away now will be missed by the registration, with a better word
                self._learn()
        active = [each.fleet for each in self.manifest.fleets if each.state is FleetState.ACTIVE]
        if self.settings.fleet:
            return self.settings.fleet
        if len(active) != 1:
            raise ConfigError(
                f"the manifest has {len(active)} active fleets", 'Name yours in the configuration: fleet = "..."'
            )
        return active[0]

    def recover(self, code: str) -> tuple[Recovery, str]:
        """Return the key that the code recovers, and the fleet that had the record. Denied(NO_RECORD) when none has."""
        nowhere = Denied(DenyReason.NO_RECORD, "no fleet has a record of that name", "Check the account and the name")
        for fleet in self._candidates():
            try:
                recovery = self.vault(fleet).recover(code)
            except Denied as error:
                if error.reason is not DenyReason.NO_RECORD:
                    raise
                nowhere = error
                continue
            _check_key(recovery)
            return recovery, fleet
        raise nowhere

    def keep_recovered(self, recovery: Recovery, fleet: str) -> None:
        """Keep the key, its owner's key and where the record is. BackupError when another key is here."""
        self.state.keep_key(recovery.secret)
        self.state.keep_owner_key(recovery.owner_key)
        self.state.keep_fleet(fleet)

    def keep_registered(self, receipt: Receipt, fleet: str) -> None:
        """Keep the owner's key: of the live record, or apart while a replacement waits."""
        self.state.keep_fleet(fleet)
        if receipt.due_at is None:
            self.state.keep_owner_key(receipt.owner_key)
            self.state.forget_waiting()
        else:
            self.state.keep_waiting(receipt.registration_id, receipt.owner_key)

    def _learn(self) -> None:
        settings = self.settings
        asyncio.run(learn(settings.relay, self._trust, fleet=settings.fleet, patience=settings.patience_seconds))

    def _candidates(self) -> list[str]:
        """Return the fleets that may have the record, the likeliest first. Never empty: else ConfigError."""
        if self.settings.fleet:
            return [self.settings.fleet]
        remembered = self.state.fleet()
        listed = list(_usable(self.manifest))
        if not listed:
            raise ConfigError("every fleet of the manifest is revoked", "Ask the service where the record went")
        return sorted(listed, key=lambda fleet: fleet != remembered)


def trust_of(settings: ClientSettings, state: DeviceState) -> Trust:
    """Return whom the settings say to believe. ConfigError for a file that is not what it has to be."""
    if settings.manifest is not None and settings.manifest_sha256 is not None:
        return PinnedManifest(read_pinned_manifest(settings.manifest, settings.manifest_sha256))
    if settings.root_of_trust is None:
        raise ConfigError("the settings name nobody to believe", "Set root_of_trust, or manifest and manifest_sha256")
    root = read_trusted_root(settings.root_of_trust, settings.root_successors).document
    try:
        return FollowedManifest(root, state.bundle(), state.keep_bundle)
    except LogError as error:
        damaged = settings.state_directory / "bundle"
        raise ConfigError(
            f"{damaged} is damaged: {error.what}", "Move it away; the fleet is asked for it again"
        ) from error


def _usable(manifest: Manifest) -> Iterator[str]:
    for state in ORDER:
        yield from (each.fleet for each in manifest.fleets if each.state is state)


def _check_key(recovery: Recovery) -> None:
    if len(recovery.secret) != KEY_LENGTH:
        raise ProtocolError(
            f"the record keeps a secret of {len(recovery.secret)} bytes, which is no backup key",
            "Recover it with the program that registered it",
        )
