"""What the client decides, against a vault in memory that may lose answers or cheat.

Attacks by the vault or on the way, each refused: another OPAQUE key, a reflected or identity element, a changed KE2, a
payload of another record, a proof accepted that was none, a status of another replica, question, epoch or record, one
that is unsigned. Not here: what a relay can see (tests of the relay), and what the vault refuses (tests of the vault).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from hsm_app.client import patience
from hsm_app.client.blocking import Vault
from hsm_app.client.trust import PinnedManifest
from hsm_app.client.vault import AsyncVault
from hsm_app.errors import ConfigError, Denied, DenyReason, ProtocolError, QuorumError
from hsm_app.fleet.manifest import AttemptPolicy, FleetState
from hsm_app.opaque.group import SoftwareKey, encode
from hsm_app.vault.recovery_code import generate_code
from hsm_app.wire import messages as m
from tests.client.software_vault import SoftwareVault, manifest_now, running

CODE, NEW_CODE, WRONG = "correct horse", generate_code(bytes(range(15))), "wrong horse"
KEY = bytes(range(32))
POLICY = AttemptPolicy(
    maximum=10, waits_seconds=(0,), replace_delay_seconds=3600, charges_per_hour=1000, destructions_per_hour=10
)


@pytest.fixture
def software() -> Iterator[SoftwareVault]:
    with running(SoftwareVault(manifest_now(attempts=POLICY))) as vault:
        yield vault


@pytest.fixture
def vault(software: SoftwareVault, monkeypatch: pytest.MonkeyPatch) -> Vault:
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.01, 0.01))
    return Vault(software.config)


def kinds(software: SoftwareVault) -> list[str]:
    return [type(asked).__name__ for asked in software.asked]


class TestTheWayThrough:
    def test_what_was_registered_is_recovered(self, vault: Vault) -> None:
        receipt = vault.register(CODE, KEY)
        assert (receipt.generation, receipt.due_at) == (1, None)
        recovery = vault.recover(CODE)
        assert (recovery.secret, recovery.owner_key, recovery.generation) == (KEY, receipt.owner_key, 1)
        assert recovery.failed_attempts == ()

    def test_any_secret_up_to_a_kibibyte(self, vault: Vault) -> None:
        secret = os.urandom(1024)
        vault.register(NEW_CODE, secret)
        assert vault.recover(NEW_CODE.lower().replace("-", " ")).secret == secret

    def test_a_secret_that_is_too_long(self, vault: Vault) -> None:
        with pytest.raises(ConfigError, match="1025 bytes"):
            vault.register(CODE, bytes(1025))

    def test_a_code_in_another_unicode_form(self, vault: Vault) -> None:
        vault.register("e\u0301lève 2024", KEY)
        assert vault.recover("\u00e9l\u00e8ve\u00a02024").secret == KEY

    async def test_without_blocking(self, software: SoftwareVault) -> None:
        async with AsyncVault(software.config) as vault:
            await vault.register(CODE, KEY)
            assert (await vault.recover(CODE)).secret == KEY
            assert (await vault.status()).body.state == "active"

    def test_a_status_tells_everything(self, vault: Vault) -> None:
        vault.register(CODE, KEY)
        body = vault.status().body
        assert (body.state, body.generation, body.attempts_left, body.maximum, body.pending) == (
            "active",
            1,
            10,
            10,
            None,
        )

    def test_neither_code_nor_key_is_sent(self, software: SoftwareVault, vault: Vault) -> None:
        vault.register(CODE, KEY)
        vault.recover(CODE)
        sent = repr([{slot: getattr(asked, slot) for slot in asked.__slots__} for asked in software.asked])
        assert CODE not in sent
        assert repr(KEY)[2:-1] not in sent
        assert len(set(software.frames)) == len(software.frames)

    def test_results_do_not_show_secrets(self, vault: Vault) -> None:
        receipt = vault.register(CODE, KEY)
        shown = repr(receipt) + repr(vault.recover(CODE)) + repr(vault) + repr(vault._config)
        assert repr(KEY) not in shown
        assert repr(receipt.owner_key) not in shown
        assert "a.b.c" not in shown


class TestWrongCodes:
    def test_each_says_how_many_are_left_and_the_last_destroys(self, software: SoftwareVault, vault: Vault) -> None:
        vault.register(CODE, KEY)
        for left in range(9, -1, -1):
            with pytest.raises(Denied) as caught:
                vault.recover(WRONG)
            assert (caught.value.reason, caught.value.attempts_left) == (DenyReason.WRONG_CODE, left)
        with pytest.raises(Denied) as caught:
            vault.recover(CODE)
        assert caught.value.reason is DenyReason.DESTROYED
        assert len({asked.attempt_id for asked in software.asked if isinstance(asked, m.RecoverStart)}) == 11

    def test_the_vault_is_told_of_a_failure_by_a_proof_that_is_none(
        self, software: SoftwareVault, vault: Vault
    ) -> None:
        vault.register(CODE, KEY)
        for _ in range(2):
            with pytest.raises(Denied):
                vault.recover(WRONG)
        proofs = [asked.ke3 for asked in software.asked if isinstance(asked, m.RecoverFinish)]
        assert len(set(proofs)) == 2
        assert {len(proof) for proof in proofs} == {32}

    def test_a_success_tells_the_owner_of_failures(self, vault: Vault) -> None:
        vault.register(CODE, KEY)
        with pytest.raises(Denied):
            vault.recover(WRONG)
        assert len(vault.recover(CODE).failed_attempts) == 1
        assert vault.status().body.attempts_left == 10

    def test_a_mistyped_generated_code_costs_nothing(self, software: SoftwareVault, vault: Vault) -> None:
        vault.register(NEW_CODE, KEY)
        software.asked.clear()
        with pytest.raises(ConfigError, match="group 2 of the recovery code is mistyped"):
            vault.recover(NEW_CODE[:6] + ("A" if NEW_CODE[6] != "A" else "B") + NEW_CODE[7:])
        assert software.asked == []

    def test_a_common_code_is_not_registered(self, software: SoftwareVault, vault: Vault) -> None:
        with pytest.raises(ConfigError, match="anyone would try"):
            vault.register("Password1", KEY)
        assert software.asked == []

    def test_a_failure_that_the_vault_cannot_be_told(self, software: SoftwareVault, vault: Vault) -> None:
        vault.register(CODE, KEY)
        software._RecoverFinish = _no_majority  # type: ignore[method-assign]
        with pytest.raises(Denied) as caught:
            vault.recover(WRONG)
        assert caught.value.reason is DenyReason.WRONG_CODE
        assert caught.value.attempts_left is None


def _no_majority(_asked: object) -> m.Recovered:
    raise QuorumError("too few replicas", "Wait")


LOSSES = [m.RegisterStart, m.RegisterFinish, m.Activate, m.RecoverStart, m.RecoverFinish, m.Status, m.Delete, m.Cancel]


@pytest.mark.parametrize("lost", LOSSES, ids=lambda lost: lost.__name__)
def test_an_answer_that_is_lost_once_changes_nothing(software: SoftwareVault, vault: Vault, lost: type) -> None:
    software.lose = {lost}
    receipt = vault.register(CODE, KEY)
    assert vault.recover(CODE).secret == KEY
    assert software.record.sequence == 1
    assert vault.cancel(receipt.owner_key) == 1
    assert vault.delete(receipt.owner_key).generation == 2
    assert vault.status().body.state == "deleted"
    assert not software.lose
    twice = [asked for asked in software.asked if isinstance(asked, lost)]
    assert len(twice) >= 2
    assert twice[0] == twice[1]


class TestTheOwner:
    def test_changes_the_code_at_once(self, vault: Vault) -> None:
        receipt = vault.register(CODE, KEY)
        changed = vault.change(NEW_CODE, secret=KEY, owner_key=receipt.owner_key)
        assert changed.generation == 2
        assert vault.recover(NEW_CODE).secret == KEY
        with pytest.raises(Denied) as caught:
            vault.recover(CODE)
        assert caught.value.reason is DenyReason.WRONG_CODE

    def test_changes_the_code_with_the_present_one(self, vault: Vault) -> None:
        vault.register(CODE, KEY)
        vault.change_code(CODE, NEW_CODE)
        assert vault.recover(NEW_CODE).secret == KEY

    def test_does_not_spend_an_attempt_on_a_bad_new_code(self, software: SoftwareVault, vault: Vault) -> None:
        vault.register(CODE, KEY)
        software.asked.clear()
        with pytest.raises(ConfigError):
            vault.change_code(CODE, "123456")
        assert software.asked == []

    def test_with_a_key_of_an_older_registration_is_refused(self, vault: Vault) -> None:
        old = vault.register(CODE, KEY)
        vault.change(NEW_CODE, secret=KEY, owner_key=old.owner_key)
        with pytest.raises(Denied) as caught:
            vault.change(CODE, secret=KEY, owner_key=old.owner_key)
        assert caught.value.reason is DenyReason.OWNER_REQUIRED

    def test_is_asked_for_where_a_record_is_live(self, software: SoftwareVault, vault: Vault) -> None:
        vault.register(CODE, KEY)
        software.asked.clear()
        with pytest.raises(Denied) as caught:
            vault.register(NEW_CODE, bytes(32))
        assert caught.value.reason is DenyReason.OWNER_REQUIRED
        assert kinds(software) == ["RegisterStart"]

    def test_can_stop_a_replacement_that_waits(self, vault: Vault) -> None:
        owner = vault.register(CODE, KEY)
        thief = vault.register(NEW_CODE, bytes(32), replace=True)
        assert thief.generation is None
        assert vault.status().body.pending is not None
        vault.cancel(owner.owner_key)
        assert vault.status().body.pending is None
        with pytest.raises(Denied):
            vault.activate(thief)
        assert vault.recover(CODE).secret == KEY

    def test_who_lost_everything_replaces_after_the_wait(self, software: SoftwareVault, vault: Vault) -> None:
        vault.register(CODE, KEY)
        waiting = vault.register(NEW_CODE, bytes(32), replace=True)
        assert vault.activate(waiting).due_at == waiting.due_at
        software.later = 3601
        assert vault.activate(waiting).generation == 2
        assert vault.recover(NEW_CODE).secret == bytes(32)

    def test_deletes_at_once_and_nobody_else_does(self, software: SoftwareVault, vault: Vault) -> None:
        receipt = vault.register(CODE, KEY)
        assert vault.delete().due_at is not None
        assert vault.recover(CODE).secret == KEY
        assert vault.delete(receipt.owner_key).generation == 2
        with pytest.raises(Denied) as caught:
            vault.recover(CODE)
        assert caught.value.reason is DenyReason.NO_RECORD


IDENTITY_ELEMENT = b"\x00" * 33
GENERATOR = encode(SoftwareKey(1).public)


def twist(kind: type, **changes: Any) -> Callable[[Any], Any]:
    return lambda answer: replace(answer, **changes) if isinstance(answer, kind) else answer


def flip(kind: type, field: str, at: int) -> Callable[[Any], Any]:
    def change(answer: Any) -> Any:
        if not isinstance(answer, kind):
            return answer
        data = bytearray(getattr(answer, field))
        data[at] ^= 1
        return replace(answer, **{field: bytes(data)})

    return change


REGISTER_CHEATS = {
    "another OPAQUE key": twist(m.RegisterStarted, server_public_key=GENERATOR),
    "the identity element": twist(m.RegisterStarted, evaluated=IDENTITY_ELEMENT),
    "an element off the curve": twist(m.RegisterStarted, evaluated=b"\x02" + b"\xff" * 32),
}


@pytest.mark.parametrize("cheat", REGISTER_CHEATS.values(), ids=REGISTER_CHEATS.keys())
def test_a_registration_is_given_up_for(software: SoftwareVault, vault: Vault, cheat: Callable[[Any], Any]) -> None:
    software.twist = cheat
    with pytest.raises(ProtocolError):
        vault.register(CODE, KEY)
    assert kinds(software) == ["RegisterStart"]


def test_a_registration_is_given_up_for_a_reflected_element(software: SoftwareVault, vault: Vault) -> None:
    def reflect(answer: Any) -> Any:
        return replace(answer, evaluated=software.asked[-1].blinded)  # type: ignore[union-attr]

    software.twist = reflect
    with pytest.raises(ProtocolError):
        vault.register(CODE, KEY)
    assert kinds(software) == ["RegisterStart"]


def test_a_fleet_with_another_opaque_key_than_the_manifest_gets_no_proof(software: SoftwareVault, vault: Vault) -> None:
    vault.register(CODE, KEY)
    other = replace(software.fleet, opaque_public=GENERATOR)
    with pytest.raises(Denied) as caught:
        Vault(replace(software.config, trust=PinnedManifest(replace(software.manifest, fleets=(other,))))).recover(CODE)
    assert caught.value.reason is DenyReason.WRONG_CODE


@pytest.mark.parametrize("at", [0, 5, 40, 70, 120, 170, 200, 230, 258])
def test_a_changed_ke2_gets_no_proof(software: SoftwareVault, vault: Vault, at: int) -> None:
    vault.register(CODE, KEY)
    software.twist = flip(m.RecoverStarted, "ke2", at)
    with pytest.raises(Denied) as caught:
        vault.recover(CODE)
    assert caught.value.reason is DenyReason.WRONG_CODE


RECOVER_CHEATS = {
    "a changed payload": flip(m.Recovered, "payload", 20),
    "a payload of another version": flip(m.Recovered, "payload", 0),
    "a payload that is cut short": twist(m.Recovered, payload=b"\x01abc"),
}


@pytest.mark.parametrize("cheat", RECOVER_CHEATS.values(), ids=RECOVER_CHEATS.keys())
def test_a_recovery_fails_for(software: SoftwareVault, vault: Vault, cheat: Callable[[Any], Any]) -> None:
    vault.register(CODE, KEY)
    software.twist = cheat
    with pytest.raises(ProtocolError):
        vault.recover(CODE)


def test_a_vault_that_takes_anything_for_a_proof_is_found_out(software: SoftwareVault, vault: Vault) -> None:
    vault.register(CODE, KEY)
    software._RecoverFinish = lambda _asked: m.Recovered(  # type: ignore[method-assign]
        payload=bytes(60), generation=1, events=()
    )
    with pytest.raises(ProtocolError, match="random bytes for a proof"):
        vault.recover(WRONG)


STATUS_CHEATS = {
    "signed by another replica": twist(m.StatusReport, replica=2),
    "of a replica that does not exist": twist(m.StatusReport, replica=200),
    "with a changed body": flip(m.StatusReport, "signed", -1),
    "with a changed signature": flip(m.StatusReport, "signature", 7),
    "without a signature": twist(m.StatusReport, signature=bytes(64)),
}


@pytest.mark.parametrize("cheat", STATUS_CHEATS.values(), ids=STATUS_CHEATS.keys())
def test_no_status_is_believed(software: SoftwareVault, vault: Vault, cheat: Callable[[Any], Any]) -> None:
    software.twist = cheat
    with pytest.raises(ProtocolError):
        vault.status()


def test_an_old_status_is_not_believed(software: SoftwareVault, vault: Vault) -> None:
    old = vault.status().report
    software.twist = lambda _answer: old
    with pytest.raises(ProtocolError, match="another fleet, epoch, record or question"):
        vault.status()


class TestManifestState:
    def test_a_fleet_that_only_recovers(self) -> None:
        with running(SoftwareVault(manifest_now(state=FleetState.RECOVER_ONLY))) as software:
            with pytest.raises(ConfigError, match="takes no new registrations"):
                Vault(software.config).register(CODE, KEY)
            assert software.asked == []

    def test_a_manifest_that_expires_while_a_program_runs(self, software: SoftwareVault, vault: Vault) -> None:
        expired = replace(software.manifest, not_after=0, not_before=0)
        with pytest.raises(ConfigError, match="has expired"):
            Vault(replace(software.config, trust=PinnedManifest(expired))).status()
