"""What custodians can do with the tokens: enough of them, too few of them, and before the last try of a PIN."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from shamir_mnemonic import cipher
from shamir_mnemonic.constants import SECRET_INDEX
from shamir_mnemonic.shamir import RawShare, _interpolate
from shamir_mnemonic.share import Share

from hsm_app.ceremony.custody import combine, parse_custody, recognise, so_pin
from hsm_app.ceremony.room import RoomClosed
from hsm_app.ceremony.transcript import EntryKind
from hsm_app.errors import ConfigError, TokenError
from hsm_app.token.station import TokenStation
from tests.ceremony.stage import Rehearsal, officer_opens, shares
from tests.token.fresh import blank


def test_any_two_of_three_custodians_are_officer_of_a_maintained_token_and_one_is_not(maintained: Rehearsal) -> None:
    """VAULT-CUSTODY-THRESHOLD"""
    names = list(maintained.room.sheets)
    for number, pair in enumerate(itertools.combinations(names, 2), 1):
        assert officer_opens(maintained, number, shares(maintained, *pair))
    custody = parse_custody((maintained.root / "custody.json").read_bytes())
    for name in names:
        with pytest.raises(ConfigError, match="1 more of the custodians' shares"):
            shares(maintained, name)
        one = recognise(custody, name, maintained.room.sheets[name])
        with pytest.raises(ConfigError, match=f"the share of {name} was given twice"):
            combine(custody, [one, one])
    assert not officer_opens(maintained, 1, bytes(16))


def made_of_less(words: str) -> Iterator[bytes]:
    """Yield what one share of two can be made into: itself as the secret, and the second one invented."""
    share = Share.from_mnemonic(words)
    decrypted = partial(
        cipher.decrypt, passphrase=b"", iteration_exponent=0, identifier=share.identifier, extendable=True
    )
    yield share.value
    yield decrypted(share.value)
    for seed in range(6):
        invented = hashlib.shake_128(bytes([seed])).digest(len(share.value))
        points = [RawShare(share.index, share.value), RawShare((share.index + 1) % 16, invented)]
        yield decrypted(_interpolate(points, SECRET_INDEX))


def test_fewer_shares_than_are_needed_open_no_token(maintained: Rehearsal) -> None:
    """VAULT-CUSTODY-THRESHOLD, without any of our checks: what one share gives is tried as every officer's PIN."""
    plan = maintained.ceremony.plan
    for token, sheet in zip(plan.tokens, maintained.room.sheets.values(), strict=True):
        label = plan.label(token.replica)
        with TokenStation(maintained.ceremony.place.location(plan, token)) as station:
            assert all(station.refuses_officer(so_pin(secret, plan.fleet, label)) for secret in made_of_less(sheet))
            assert not station.refuses_officer(so_pin(shares(maintained, "Cleo", "Dan"), plan.fleet, label))


def test_two_shares_put_together_without_our_checks_are_the_secret(maintained: Rehearsal) -> None:
    """So the test above fails for want of a share, and not of skill."""
    cleo, dan = (Share.from_mnemonic(maintained.room.sheets[name]) for name in ("Cleo", "Dan"))
    points = [RawShare(share.index, share.value) for share in (cleo, dan)]
    found = cipher.decrypt(_interpolate(points, SECRET_INDEX), b"", 0, cleo.identifier, extendable=True)
    assert found == shares(maintained, "Cleo", "Eve")


@pytest.mark.parametrize(("whose", "pin"), [("officer", "security officer's PIN"), ("user", "user PIN")])
def test_people_are_asked_before_the_last_try_of_a_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str, pin: str
) -> None:
    """SoftHSM counts no tries, so the token's word for it is put in its mouth."""
    rehearsal = Rehearsal(tmp_path / "ceremony")
    rehearsal.room.leave_at = "keys-1"
    with pytest.raises(RoomClosed):
        rehearsal.play()
    described, given = TokenStation.describe, len(rehearsal.of(EntryKind.OPERATION))
    monkeypatch.setattr(TokenStation, "describe", lambda station: {**described(station), whose: "final"})
    rehearsal.room.leave_at, rehearsal.room.answers = "", [("one try of", "better not")]
    with pytest.raises(RoomClosed):
        rehearsal.play()
    sheet = rehearsal.of(EntryKind.EXCEPTION)[-1].body["what"]
    assert sheet.startswith(f"answered 'better not' to: one try of the {pin} is left on token fleet-1-1;")
    logins = [entry.body for entry in rehearsal.of(EntryKind.OPERATION)[given:] if entry.body["call"] == "C_Login"]
    assert not any(each.get("user") == "CKU_SO" for each in logins)


def test_a_token_says_that_a_wrong_pin_was_tried(tmp_path: Path) -> None:
    with TokenStation(blank(tmp_path / "one")) as station:
        assert (station.describe()["officer"], station.describe()["user"]) == ("none", "none")
        station.initialise("the officer's", "the user's")
        assert (station.describe()["officer"], station.describe()["user"]) == ("ready", "ready")
        assert station.refuses_officer("another")
        with pytest.raises(TokenError, match="refused the PIN"):
            station.open("another")
        assert (station.describe()["officer"], station.describe()["user"]) == ("low", "low")
