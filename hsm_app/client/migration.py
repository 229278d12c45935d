"""Move a record from a fleet that is being left to the active one, so that at no moment none has it.

1. recover with the code, which also gives the owner's key of the old record; keep that, durably;
2. register the same key under the same code in the active fleet, and activate it;
3. delete the old record, signed by its owner, and ask for a signed status that says that it is gone: the receipt.

Two live records are twenty guesses. Without a receipt the old one may be live, so the new record gets a new key: the
old record's guesses then open old backups at most. The key that was replaced stays on the device, for those backups,
and the deletion is tried again with each run. A crash anywhere is such a run: what was kept says how far it came.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hsm_app.client.device import Device
from hsm_app.client.randomness import random_bytes
from hsm_app.client.results import SignedStatus
from hsm_app.client.state import BEGUN, KEY_LENGTH, MOVED, RENEWED, RENEWING, Migration
from hsm_app.errors import BackupError, ConfigError, Denied, DenyReason, QuorumError
from hsm_app.fleet.manifest import FleetState
from hsm_app.vault.record import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """Where the record is now. `receipt` None: the old one may be live, and `former_key` is the file of the old key."""

    old: str
    new: str
    receipt: SignedStatus | None
    former_key: Path | None = None


def migrate(device: Device, code: str) -> Migrated | None:
    """Take every step that is left. None when the record is in an active fleet already. Raises as the vault does."""
    begun = device.state.migration() or _begin(device, code)
    if begun is None:
        return None
    new = device.new_home()
    if new == begun.fleet:
        raise ConfigError(f"the record is in {new}, and the configuration names no other fleet", "Remove `fleet = ...`")
    if begun.stage == BEGUN:
        _move(device, new, code)
        begun = _at(device, begun, MOVED)
    if begun.stage == RENEWING:
        begun = _renew(device, begun, new, code)
    receipt = _delete_old(device, begun)
    if receipt is not None:
        device.state.finish_migration(begun.fleet, receipt_text(receipt))
    elif begun.stage != RENEWED:
        begun = _renew(device, begun, new, code)
    former_key = device.state.former_key() if begun.stage == RENEWED else None
    return Migrated(old=begun.fleet, new=new, receipt=receipt, former_key=former_key)


def receipt_text(receipt: SignedStatus) -> str:
    """Return a receipt as JSON: the bytes that a replica's token signed, and its signature, in hexadecimal."""
    report = receipt.report
    return json.dumps({"replica": report.replica, "signed": report.signed.hex(), "signature": report.signature.hex()})


def _begin(device: Device, code: str) -> Migration | None:
    recovery, fleet = device.recover(code)
    device.keep_recovered(recovery, fleet)
    if device.state_of(fleet) is FleetState.ACTIVE:
        return None
    return _at(device, Migration(fleet=fleet, owner_key=recovery.owner_key, stage=BEGUN), BEGUN)


def _at(device: Device, begun: Migration, stage: str) -> Migration:
    reached = Migration(fleet=begun.fleet, owner_key=begun.owner_key, stage=stage)
    device.state.keep_migration(reached)
    return reached


def _move(device: Device, fleet: str, code: str) -> None:
    """Register in the new fleet; a record that is live there already has to be the one of an earlier run."""
    vault, key = device.vault(fleet), _held(device)
    try:
        device.keep_registered(vault.register(code, key), fleet)
    except Denied as error:
        if error.reason is not DenyReason.OWNER_REQUIRED:
            raise
        recovery = vault.recover(code)
        if recovery.secret != key:
            raise BackupError(
                f"fleet {fleet} has a record with another key under this name already",
                "Find out which device registered it; nothing was changed",
            ) from error
        device.keep_recovered(recovery, fleet)


def _delete_old(device: Device, begun: Migration) -> SignedStatus | None:
    """Delete; return the signed word of a replica that nothing can be recovered there any more, None without one."""
    if device.state_of(begun.fleet) is FleetState.REVOKED:
        return None  # nobody works with it any more, so nobody can say
    vault = device.vault(begun.fleet)
    try:
        with suppress(Denied):  # destroyed, never there, or changed by another device: the status says which
            vault.delete(begun.owner_key)
        status = vault.status()
    except (QuorumError, Denied):
        return None
    is_gone = status.body.state in (State.DELETED, State.DESTROYED, State.EMPTY)
    return status if is_gone else None


def _renew(device: Device, begun: Migration, fleet: str, code: str) -> Migration:
    """Put a new key into the new record. It is kept before, and the one that it replaces too: a crash loses neither."""
    if begun.stage == RENEWING and device.state.next_key() is None:  # it was taken, and the run ended there
        return _at(device, begun, RENEWED)
    vault = device.vault(fleet)
    device.state.keep_former_key(_held(device))
    fresh = device.state.next_key() or random_bytes(KEY_LENGTH)
    device.state.keep_next_key(fresh)
    _at(device, begun, RENEWING)
    recovery = vault.recover(code)
    if recovery.secret == fresh:  # a run before this one came so far
        device.state.keep_owner_key(recovery.owner_key)
    else:
        device.keep_registered(vault.change(code, secret=fresh, owner_key=recovery.owner_key), fleet)
    device.state.take_next_key()
    return _at(device, begun, RENEWED)


def _held(device: Device) -> bytes:
    key = device.state.key()
    if key is None:
        raise ConfigError("this device holds no backup key any more", "Recover it with `hsm-vault client recover`")
    return key
