"""The sweep over real links: what it writes back, what a crash or an absent member does to it, and who signs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from hsm_app.consensus.acceptor import Accept, Prepare, Slot
from hsm_app.consensus.ballot import Ballot
from hsm_app.consensus.sweep import Page
from hsm_app.errors import ConfigError, ProtocolError, QuorumError
from hsm_app.fleet.manifest import Manifest
from hsm_app.fleet.manifest_encoding import encode_manifest
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.membership_certificate import parse_certificate
from hsm_app.model import FleetId, RecordId, ReplicaId
from hsm_app.replica import sweep_answers, sweep_messages, sweeping
from hsm_app.replica.keeper import Question
from hsm_app.replica.sweep_answers import SweepAnswers
from hsm_app.replica.sweep_messages import PAGE, SIGN, decode_page, encode_epoch, encode_page
from hsm_app.replica.sweep_progress import Progress, SweepPlace, read_progress
from hsm_app.replica.sweeping import Sweep
from tests.fleet.example import NOW, example_fleet, private_key
from tests.replica.link_group import Member, linked, until

FLEET = FleetId("fleet-1")
OLD, HIGH = Ballot(1, 9, 1, 1), Ballot(50, 9, 1, 1)
PAGE_ROWS = 4


def epoch_four(replicas: int) -> Manifest:
    return parse_manifest(
        encode_manifest(
            namespace="n", epoch=4, previous_sha256=bytes(32), issued_at=NOW, not_before=NOW, not_after=NOW + 9,
            fleets=(example_fleet(replicas=replicas),),
        )
    )  # fmt: skip


class SigningToken:
    """Signs with the example's identity key of one replica."""

    def __init__(self, replica: int) -> None:
        self._key = private_key(2 * replica - 1)

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    async def run(self, job: Callable[[SigningToken], bytes]) -> bytes:
        return job(self)


def prepared(members: list[Member], path: Path) -> Sweep:
    """Give every member its answers, and return the first one's sweep."""
    manifest = epoch_four(len(members))
    group = manifest.fleets[0].groups[0]
    for member in members:
        place = SweepPlace(manifest=manifest, fleet=FLEET, group=group, own=member.replica)
        answers = SweepAnswers(place, member.worker, SigningToken(member.replica))  # type: ignore[arg-type]
        member.inquiries.update(answers.handlers())
    first = members[0]
    place = SweepPlace(manifest=manifest, fleet=FLEET, group=group, own=first.replica)
    own = SweepAnswers(place, first.worker, SigningToken(1))  # type: ignore[arg-type]
    signing = SigningToken(1)
    return Sweep(place, own, peers=first.peers, register=first.register, tokens=signing, path=path)  # type: ignore[arg-type]


def place_of(replicas: int, own: int = 1) -> SweepPlace:
    manifest = epoch_four(replicas)
    group = manifest.fleets[0].groups[0]
    return SweepPlace(manifest=manifest, fleet=FLEET, group=group, own=ReplicaId(own))


def record(number: int) -> RecordId:
    return RecordId(number.to_bytes(2, "big") * 16)


async def hold(member: Member, number: int, ballot: Ballot, value: bytes) -> None:
    """Let a member accept a value, as it did in an epoch before."""
    asked = Accept(ballot=ballot, value=value, next=ballot.next())
    await member.worker.run(lambda keeper: keeper.vote([Question(record(number), asked)]))


async def promise(member: Member, number: int, ballot: Ballot) -> None:
    asked = Question(record(number), Prepare(ballot=ballot))
    await member.worker.run(lambda keeper: keeper.vote([asked]))


async def held(member: Member, number: int) -> Slot | None:
    return (await member.worker.run(lambda keeper: keeper.slots([record(number)]))).get(record(number))


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sweep_answers, sweep_messages):
        monkeypatch.setattr(module, "PAGE_ROWS", PAGE_ROWS)
    monkeypatch.setattr(sweeping, "PAUSE", 0.0)
    monkeypatch.setattr(sweeping, "TRY_PAUSE", 0.01)


async def test_what_was_chosen_with_the_removed_replica_is_held_by_a_majority_of_the_rest(tmp_path: Path) -> None:
    """VAULT-MEMBERSHIP-SWEPT: two of four hold it, and did a third one; over several pages."""
    async with linked(4) as members:
        sweep = prepared(members, tmp_path / "sweep-4.json")
        for number in range(19):
            for member in (members[number % 4], members[(number + 1) % 4]):
                await hold(member, number, OLD, b"v%d" % number)
        await sweep.run()
        assert sweep.progress is not None
        assert (sweep.progress.swept, sweep.progress.is_complete) == (19, True)
        for number in range(19):
            slots = [await held(member, number) for member in members]
            assert sum(slot is not None and slot.value == b"v%d" % number for slot in slots) >= 3, number


async def test_a_ballot_that_one_member_alone_accepted_is_exceeded_on_a_majority(tmp_path: Path) -> None:
    """VAULT-MEMBERSHIP-SWEPT: also when a majority holds the record alike and nothing is written back."""
    async with linked(4) as members:
        sweep = prepared(members, tmp_path / "sweep-4.json")
        for member in members[:3]:
            await hold(member, 1, OLD, b"same")
        await promise(members[2], 1, HIGH)
        await hold(members[3], 1, HIGH, b"never chosen")
        await sweep.run()
        slots = [await held(member, 1) for member in members]
        assert sum(slot is not None and slot.promised > HIGH for slot in slots) >= 3


async def test_a_record_of_which_only_a_promise_is_known_is_swept(tmp_path: Path) -> None:
    async with linked(4) as members:
        sweep = prepared(members, tmp_path / "sweep-4.json")
        for member in members[:2]:  # and a third one that was removed
            await promise(member, 1, HIGH)
        await sweep.run()
        slots = [await held(member, 1) for member in members]
        assert sum(slot is not None and slot.promised > HIGH for slot in slots) >= 3


async def test_a_sweep_goes_on_where_it_was_and_one_of_another_manifest_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "sweep-4.json"
    async with linked(3) as members:
        for number in range(10):
            await hold(members[0], number, OLD, b"v")
        sweep = prepared(members, path)
        pages: list[bytes] = []
        asked = members[1].inquiries[PAGE]

        async def counted(body: bytes) -> bytes:
            pages.append(body)
            if body:
                await asyncio.Event().wait()
            return await asked(body)

        members[1].inquiries[PAGE] = members[2].inquiries[PAGE] = counted
        running = asyncio.ensure_future(sweep.run())
        await until(lambda: any(pages))
        running.cancel()
        await until(lambda: read_progress(path, place_of(3)).swept == PAGE_ROWS)
        assert read_progress(path, place_of(4)) == Progress()
        members[1].inquiries[PAGE] = members[2].inquiries[PAGE] = asked
        again = prepared(members, path)
        await again.run()
        assert again.progress is not None
        assert (again.progress.swept, again.progress.is_complete) == (10, True)


async def test_a_sweep_without_a_majority_fails_and_can_be_tried_again(tmp_path: Path) -> None:
    async with linked(3) as members:
        sweep = prepared(members, tmp_path / "sweep-4.json")
        lost = [members[number].inquiries.copy() for number in (1, 2)]
        for member in members[1:]:
            member.inquiries.clear()
        with pytest.raises(QuorumError, match="1 of the 3 members"):
            await sweep.run()
        members[1].inquiries.update(lost[0])
        await sweep.run()
        assert sweep.progress is not None
        assert sweep.progress.is_complete


async def test_a_certificate_is_signed_by_a_majority_once_the_sweep_is_complete(tmp_path: Path) -> None:
    """VAULT-MEMBERSHIP-SWEPT: not before, and for the epoch that the signers have entered."""
    async with linked(4) as members:
        sweep = prepared(members, tmp_path / "sweep-4.json")
        with pytest.raises(QuorumError, match="not complete"):
            await sweep.certificate()
        await sweep.run()
        certificate = parse_certificate((await sweep.certificate()).to_bytes())
        certificate.check(epoch_four(4).fleets[0].groups[0])
        with pytest.raises(QuorumError, match="not about epoch 4"):
            await members[0].peers.inquire(ReplicaId(2), SIGN, encode_epoch(5))


def test_a_page_comes_back_as_it_was() -> None:
    page = Page(records=[record(1), record(2)], is_last=False)
    assert decode_page(encode_page(page)) == page


@pytest.mark.parametrize("body", [b"", b"\2", b"\1" + bytes(31), b"\1" + bytes(32 * (PAGE_ROWS + 1))])
def test_a_damaged_page_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_page(body)


def test_damaged_progress_is_no_progress(tmp_path: Path) -> None:
    path = tmp_path / "sweep-4.json"
    path.write_text("{}")
    with pytest.raises(ConfigError):
        read_progress(path, place_of(3))


async def test_a_disk_cannot_claim_that_the_sweep_is_complete(tmp_path: Path) -> None:
    """VAULT-SWEEP-PROGRESS-SIGNED: not by an edit, and not with the file of another replica."""
    path = tmp_path / "sweep-4.json"
    async with linked(3) as members:
        for number in range(10):
            await hold(members[0], number, OLD, b"v")
        await prepared(members, path).run()
        genuine = json.loads(path.read_text())
        for forged in ({"swept": 11}, {"after": record(2).hex()}, {"is_complete": 0}, {"signature": "00" * 64}):
            path.write_text(json.dumps({**genuine, **forged}))
            again = prepared(members, path)
            with pytest.raises(ConfigError, match="not written by this replica"):
                await again.certificate()
        path.write_text(json.dumps(genuine))
        with pytest.raises(ConfigError, match="not written by this replica"):
            read_progress(path, place_of(3, own=2))
        await prepared(members, path).certificate()
