"""Watching a log: an honest one passes every check, and each way to cheat is named.

Covered: split view (against what was kept, and against what witnesses saw), rollback, unknown keys, manifests that do
not read, gaps, damaged and missing files, stale cosignatures. Not covered: a log that shows nothing at all to anyone.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsm_app.auditor.log_directory import LogDirectory
from hsm_app.auditor.site import serving
from hsm_app.auditor.witnesses import gather
from hsm_app.errors import ConfigError, LogError, QuorumError
from hsm_app.evidence.verdict import Outcome
from hsm_app.fleet.countersignature import MANIFEST_TYPE
from hsm_app.fleet.dsse import sign_envelope
from hsm_app.fleet.root_of_trust import ROOT_TYPE, Role, RootOfTrust
from hsm_app.key_files import read_key_file
from hsm_app.monitor.following import follow
from hsm_app.monitor.lineage import Lineage, lineages
from hsm_app.monitor.source import open_source
from hsm_app.monitor.state import State, read_state, write_state
from hsm_app.monitor.verdicts import CHECKS, Look, fetch_checkpoint, look
from hsm_app.monitor.witnessed import compare_with_witnesses
from hsm_app.net.address import Address
from hsm_app.net.http import HttpServer, Reply, request
from hsm_app.tlog import tiles
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.policy import NONE
from hsm_app.tlog.tiles import Fetch
from tests.auditor.world import DAY, World, following, manifest, world
from tests.fleet import trust
from tests.tlog.keys import ORIGIN

NAMESPACE = trust.NAMESPACE


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[World]:
    """Three epochs, between entries of others."""
    with world(tmp_path) as made:
        raw = manifest()
        made.whole(raw)
        append(made, b"an entry of somebody else")
        for _ in range(2):
            raw = following(raw)
            made.whole(raw)
        yield made


def append(audited: World, *entries: bytes) -> None:
    """Put entries into the log without asking for its rules, as an auditor who cheats can; show it to all witnesses."""
    opened = audited.open()
    opened.log.append(entries)
    opened.close()
    refresh(audited)


def refresh(audited: World) -> None:
    """Have the present tree cosigned and published."""
    opened = audited.open()
    try:
        gathered = gather(opened.log.note, opened.log.prove_growth, audited.root.policy.witnesses)
        opened.log.publish(gathered.note)
    finally:
        opened.close()


def public(audited: World) -> str:
    return str(audited.auditor / "public")


def seen(audited: World, *, now: int | None = None, limit: int = 50) -> Look:
    return look(
        open_source(public(audited)), Lineage((audited.root,)), now=now or int(time.time()), seen=None, limit=limit
    )


def failed(seen: Look) -> set[str]:
    shown = [seen.log, *(epoch.verdicts for epoch in seen.epochs)]
    return {name for verdicts in shown for name, one in verdicts.items() if one.outcome is Outcome.FAIL}


def watch(audited: World, state: State | None = None, now: int | None = None) -> State:
    roots = {NAMESPACE: Lineage((audited.root,))}
    return follow(open_source(public(audited)), roots, state or State(origin=ORIGIN), now or int(time.time())).state


# -- one look


def test_an_honest_log_passes(audited: World) -> None:
    found = seen(audited)
    assert [epoch.manifest.epoch for epoch in found.epochs if epoch.manifest] == [1, 2, 3]
    assert not failed(found)
    for epoch in found.epochs:
        assert tuple(epoch.verdicts) == CHECKS
        unproven = {name for name, one in epoch.verdicts.items() if one.outcome is Outcome.NOT_PROVEN}
        assert unproven == {"consistency"}  # a first look


def test_the_last_epochs_are_shown_when_a_limit_is_given(audited: World) -> None:
    found = seen(audited, limit=2)
    assert [epoch.manifest.epoch for epoch in found.epochs if epoch.manifest] == [2, 3]
    assert not failed(found)
    assert found.epochs[0].verdicts["delta"].outcome is Outcome.PASS


def test_growth_is_proved_to_who_looked_before(audited: World) -> None:
    before = seen(audited).checkpoint
    append(audited, b"more")
    found = look(open_source(public(audited)), Lineage((audited.root,)), now=int(time.time()), seen=before, limit=1)
    assert found.log["consistency"].outcome is Outcome.PASS
    forged = before.__class__(before.origin, before.size, bytes(32)) if before else None
    found = look(open_source(public(audited)), Lineage((audited.root,)), now=int(time.time()), seen=forged, limit=1)
    assert failed(found) == {"consistency"}


def entry(raw: bytes, *, auditor: trust.EdSigner | None = None, operator: int = 0, audited: World) -> bytes:
    signer = auditor or read_key_file(audited.auditor / "keys" / "auditor.pem")
    envelope = sign_envelope(MANIFEST_TYPE, raw, [signer])
    read = trust.parse_envelope(envelope, MANIFEST_TYPE)
    counter = trust.sign_countersignature(trust.parse_manifest(raw), read, [trust.operator(operator)])
    return envelope + b"\n" + counter + b"\n"


def unreadable(audited: World) -> bytes:
    good = entry(manifest(), audited=audited).split(b"\n")
    signer = read_key_file(audited.auditor / "keys" / "auditor.pem")
    return sign_envelope(MANIFEST_TYPE, b"{}", [signer]) + b"\n" + good[1] + b"\n"


def another_key(audited: World) -> bytes:
    """A next epoch that only an auditor who breaks its own rules signs."""
    opened = audited.open()
    last = opened.namespaces.last(NAMESPACE)
    opened.close()
    assert last is not None
    return entry(following(last[2].raw, fleets=(trust.other_fleet(),)), audited=audited)


CHEATS: dict[str, tuple[set[str], Callable[[World], bytes]]] = {
    "an auditor whom nobody knows": (
        {"auditor-signature", "delta"},
        lambda audited: entry(manifest(), auditor=trust.auditor(7), audited=audited),
    ),
    "an operator whom nobody knows": (
        {"counter-signature", "delta"},
        lambda audited: entry(manifest(), operator=7, audited=audited),
    ),
    "a second first epoch": ({"delta"}, lambda audited: entry(manifest(), audited=audited)),
    "a manifest that does not read": ({"artifact"}, unreadable),
    "another key in the place of a fleet's": ({"delta"}, another_key),
}


@pytest.mark.parametrize(("checks", "make"), CHEATS.values(), ids=CHEATS.keys())
def test_the_log_shows(audited: World, checks: set[str], make: Callable[[World], bytes]) -> None:
    state = watch(audited)
    append(audited, make(audited))
    assert failed(seen(audited)) == checks
    with pytest.raises(LogError) as alarmed:
        watch(audited, state)
    assert alarmed.value.check in checks
    assert alarmed.value.what.startswith("entry 4: ") == (alarmed.value.check != "delta")  # that one names the epochs


DAMAGE: dict[str, Callable[[Path], None]] = {
    "the checkpoint is missing": lambda log: (log / "checkpoint").unlink(),
    "the checkpoint was changed": lambda log: (log / "checkpoint").write_bytes(
        (log / "checkpoint").read_bytes().replace(b"\n4\n", b"\n3\n")
    ),
    "a tile was changed": lambda log: (log / "tile/0/000.p/4").write_bytes(bytes(128)),
    "an entry was changed": lambda log: (log / "tile/entries/000.p/4").write_bytes(
        (log / "tile/entries/000.p/4").read_bytes().replace(b"somebody else", b"nobody at all")
    ),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_noticed_when(audited: World, damage: Callable[[Path], None]) -> None:
    damage(audited.auditor / "public")
    with pytest.raises(LogError):
        watch(audited)


def test_a_changed_entry_of_the_namespace_fails_its_inclusion(audited: World) -> None:
    path = audited.auditor / "public/tile/entries/000.p/4"
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"keyid":"', b'"keyid":"x')[: len(kept)])
    assert failed(seen(audited)) == {"artifact"}  # the bundle of entries no longer has its length
    shutil.copy(audited.auditor / "public/tile/entries/000.p/3", path)
    assert failed(seen(audited)) == {"artifact"}
    path.unlink()
    assert failed(seen(audited)) == {"artifact"}
    last = kept.rindex(b'"keyid":"') + len(b'"keyid":"')
    path.write_bytes(kept[:last] + b"0" + kept[last + 1 :])
    assert failed(seen(audited)) == {"inclusion"}


def test_an_epoch_that_the_log_hides_among_entries_of_others_fails_inclusion(audited: World) -> None:
    """A bundle of it holds for a client: it is in the tree that witnesses cosigned. Only its entry is not shown."""
    append(audited, another_key(audited))
    path = audited.auditor / "public/tile/entries/000.p/5"
    *kept, _ = tiles.unpack_entries(path.read_bytes(), 5)
    path.write_bytes(tiles.pack_entries([*kept, b"an entry of somebody else"]))
    found = seen(audited)
    assert [epoch.manifest.epoch for epoch in found.epochs if epoch.manifest] == [1, 2, 3]
    assert failed(found) == {"inclusion"}
    assert all("entry 4 " in epoch.verdicts["inclusion"].why for epoch in found.epochs)
    shown = look(open_source(public(audited)), Lineage((audited.root,)), now=int(time.time()), seen=None, limit=1)
    assert failed(shown) == {"inclusion"}


def test_old_cosignatures_are_not_fresh(audited: World) -> None:
    assert failed(seen(audited, now=int(time.time()) + 8 * DAY)) == {"freshness"}
    with pytest.raises(LogError) as alarmed:
        watch(audited, now=int(time.time()) + 8 * DAY)
    assert alarmed.value.check == "freshness"


def test_what_does_not_read_has_all_its_lines(audited: World) -> None:
    append(audited, unreadable(audited))
    found = seen(audited).epochs[-1]
    assert (tuple(found.verdicts), found.manifest) == (CHECKS, None)


def test_where_no_log_is_the_place_is_what_is_wrong(audited: World) -> None:
    found = look(open_source(str(audited.auditor)), Lineage((audited.root,)), now=int(time.time()), seen=None, limit=1)
    assert "Name the log's address" in found.log["proof"].why
    assert failed(found) == {"proof"}


def test_without_witnesses_nothing_is_said_to_be_witnessed_or_fresh(audited: World) -> None:
    alone = replace(audited.root, policy=replace(audited.root.policy, quorum=NONE))
    found = look(open_source(public(audited)), Lineage((alone,)), now=int(time.time()), seen=None, limit=1)
    unproven = {name for name, one in found.epochs[0].verdicts.items() if one.outcome is Outcome.NOT_PROVEN}
    assert (unproven, failed(found)) == ({"consistency", "witnesses", "freshness"}, set())
    later = int(time.time()) + 99 * DAY
    assert failed(look(open_source(public(audited)), Lineage((alone,)), now=later, seen=None, limit=1)) == {"freshness"}


# -- again and again


def test_each_epoch_is_told_once_with_what_changed(audited: World, tmp_path: Path) -> None:
    fetch, roots = open_source(public(audited)), {NAMESPACE: Lineage((audited.root,))}
    first = follow(fetch, roots, State(origin=ORIGIN), int(time.time()))
    assert [one.epoch for one in first.epochs] == [1, 2, 3]
    write_state(tmp_path / "seen.json", first.state)
    opened = audited.open()
    last = opened.namespaces.last(NAMESPACE)
    opened.close()
    assert last is not None
    audited.whole(following(last[2].raw, fleets=(trust.next_members(),)))
    second = follow(fetch, roots, read_state(tmp_path / "seen.json", ORIGIN), int(time.time()))
    assert [(one.epoch, [line[:26] for line in one.changes if "key" in line]) for one in second.epochs] == [
        (4, ["~ fleet fleet-1 group 0 re"])
    ]
    assert follow(fetch, roots, second.state, int(time.time())).epochs == []


def test_a_rollback_is_an_alarm(audited: World) -> None:
    kept = audited.directory / "kept"
    shutil.copytree(audited.auditor / "public", kept)
    append(audited, b"more")
    state = watch(audited)
    with pytest.raises(LogError, match="ROLLBACK"):
        follow(open_source(str(kept)), {NAMESPACE: Lineage((audited.root,))}, state, int(time.time()))
    with pytest.raises(LogError, match="ROLLBACK: witness w0 saw a tree of 5"):  # for who looks for the first time, too
        follow(open_source(str(kept)), {NAMESPACE: Lineage((audited.root,))}, State(origin=ORIGIN), int(time.time()))


def test_a_namespace_is_looked_at_from_the_beginning_the_first_time(audited: World) -> None:
    """Whatever was seen of others: nothing of its own was."""
    state = watch(audited)
    roots = {NAMESPACE: Lineage((audited.root,))}
    others = replace(state, last={"vault.example/others": 1})
    first = follow(open_source(public(audited)), roots, others, int(time.time()))
    assert [one.epoch for one in first.epochs] == [1, 2, 3]
    assert first.state.last == {"vault.example/others": 1, NAMESPACE: 3}
    assert follow(open_source(public(audited)), roots, first.state, int(time.time())).epochs == []


def test_an_entry_that_was_seen_is_not_shown_with_another_content_later(audited: World) -> None:
    state = watch(audited)
    append(audited, another_key(audited))
    path = audited.auditor / "public/tile/entries/000.p/5"
    kept = path.read_bytes()
    place = kept.rindex(b'"keyid":"', 0, kept.rindex(b'"payloadType"', 0, kept.rindex(b'"payloadType"'))) + 9
    path.write_bytes(kept[:place] + b"0" + kept[place + 1 :])
    with pytest.raises(LogError) as alarmed:
        watch(audited, state)
    assert alarmed.value.check == "inclusion"


def test_roots_of_trust_are_of_one_log_and_one_of_each_namespace(audited: World) -> None:
    other = replace(audited.root, namespace="vault.example/others")
    assert lineages([audited.root, other], []).keys() == {NAMESPACE, "vault.example/others"}
    with pytest.raises(ConfigError, match="one namespace"):
        lineages([audited.root, audited.root], [])
    with pytest.raises(ConfigError, match="several logs"):
        lineages([audited.root, replace(trust.root_of_trust(), namespace="vault.example/others")], [])


def forked(audited: World) -> None:
    """Put the log back to before its last entry, and let it go on with another one."""
    opened = audited.open()
    entries = [opened.log.entry(index) for index in range(3)]
    opened.close()
    shutil.rmtree(audited.auditor / "public")
    (audited.auditor / "signed-checkpoint").unlink()
    (audited.auditor / "namespaces.json").unlink()
    signer = read_key_file(audited.auditor / "keys" / "log.pem")
    key = audited.root.policy.log(audited.root.origin).key
    log = LogDirectory.create(audited.auditor, key, signer.sign)
    log.publish(log.append([*entries, b"another fourth entry", b"and a fifth"]))
    log.close()


def test_a_split_view_is_an_alarm_for_who_saw_the_other_side(audited: World) -> None:
    state = watch(audited)
    forked(audited)
    with pytest.raises(LogError) as alarmed:
        watch(audited, state)
    assert alarmed.value.check == "consistency"


def compare(audited: World, fetch: Fetch, checkpoint: Checkpoint) -> Iterator[str]:
    policy = audited.root.policy
    return compare_with_witnesses(fetch, checkpoint, policy.log(ORIGIN).key, policy.witnesses.items())


def test_a_split_view_is_an_alarm_when_witnesses_saw_the_other_side(audited: World) -> None:
    """A monitor that looks for the first time, at the forked side, asks the witnesses what they saw."""
    forked(audited)
    fetch = open_source(public(audited))
    _, checkpoint = fetch_checkpoint(fetch, audited.root)
    with pytest.raises(LogError, match="SPLIT VIEW"):
        list(compare(audited, fetch, checkpoint))


def test_a_witness_that_is_away_is_a_note(audited: World) -> None:
    audited.servers[0].close()
    followed = follow(
        open_source(public(audited)), {NAMESPACE: Lineage((audited.root,))}, State(origin=ORIGIN), int(time.time())
    )
    assert any("w0" in note for note in followed.notes)


@pytest.mark.parametrize("status", [404, 500])
def test_a_witness_that_shows_nothing_is_a_note(audited: World, status: int) -> None:
    """It was not held against this log, which is not to look as if it had been."""
    port = audited.servers[1].port
    audited.servers[1].close()
    audited.servers[1] = HttpServer(Address(host="127.0.0.1", port=port), lambda *_: Reply(status))
    followed = follow(
        open_source(public(audited)), {NAMESPACE: Lineage((audited.root,))}, State(origin=ORIGIN), int(time.time())
    )
    assert [note[-11:] for note in followed.notes] == [f"answers {status}"]


def test_a_witness_without_address_is_a_note(audited: World) -> None:
    fetch = open_source(public(audited))
    _, checkpoint = fetch_checkpoint(fetch, audited.root)
    silent = {name: replace(endpoint, url="") for name, endpoint in audited.root.policy.witnesses.items()}
    notes = list(compare_with_witnesses(fetch, checkpoint, audited.root.policy.log(ORIGIN).key, silent.items()))
    assert notes == [f"witness {name} could not be asked: the policy names no address" for name in ("w0", "w1")]


def test_a_state_of_another_log_is_refused(tmp_path: Path) -> None:
    write_state(tmp_path / "seen.json", State(origin="other.example", size=9, root=bytes(32)))
    with pytest.raises(ConfigError, match=r"log other\.example, not of"):
        read_state(tmp_path / "seen.json", ORIGIN)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"size": -1, "root": "", "last": {}}', b'{"size": 1, "root": "00", "last": []}']
)
def test_a_state_that_does_not_read_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "seen.json").write_bytes(content)
    with pytest.raises(ConfigError, match="Put a whole copy of it back"):
        read_state(tmp_path / "seen.json", ORIGIN)


# -- after the root of trust was succeeded


def rotated(audited: World, **changes: object) -> RootOfTrust:
    """The next version, with another auditor and another operator."""
    document = trust.root_of_trust(
        version=2,
        issued_at=int(time.time()) - 60,
        expires_at=int(time.time()) + DAY,
        auditors=Role(1, (trust.auditor(3).key,)),
        operators=Role(1, (trust.operator(3).key,)),
        policy=audited.root.policy_lines,
        **changes,
    )
    signers = [
        read_key_file(audited.auditor / "keys" / "auditor.pem"), trust.operator(), trust.auditor(3), trust.operator(3)
    ]  # fmt: skip
    line = lineages([audited.root], [sign_envelope(ROOT_TYPE, document.raw, signers)])
    assert line[NAMESPACE] == Lineage((audited.root, document))
    return document


def test_epochs_of_before_and_after_a_rotation_are_believed_by_who_follows_it(audited: World) -> None:
    new = rotated(audited)
    both, fetch, now = Lineage((audited.root, new)), open_source(public(audited)), int(time.time())
    state = watch(audited)
    before = look(fetch, both, now=now, seen=None, limit=9)
    assert failed(before) == {"auditor-signature"}  # the last one is not what clients believe now
    assert [e.verdicts["auditor-signature"].outcome for e in before.epochs] == [
        Outcome.PASS,
        Outcome.PASS,
        Outcome.FAIL,
    ]
    opened = audited.open()
    last = opened.namespaces.last(NAMESPACE)
    opened.close()
    assert last is not None
    fourth = following(last[2].raw)
    append(audited, trust.entry_of(fourth, trust.auditor(3), trust.operator(3)))
    after = look(fetch, both, now=now, seen=None, limit=9)
    assert not failed(after)
    assert "version 1" in after.epochs[2].verdicts["auditor-signature"].why
    assert "version 2" in after.epochs[3].verdicts["auditor-signature"].why
    assert failed(look(fetch, Lineage((new,)), now=now, seen=None, limit=9)) >= {"auditor-signature"}
    for kept in (state, State(origin=ORIGIN)):
        assert follow(fetch, {NAMESPACE: both}, kept, now).epochs[-1].epoch == 4
    with pytest.raises(LogError):
        watch(audited, state)  # who did not follow hears of keys that are unknown
    append(audited, entry(following(fourth), audited=audited))
    assert failed(look(fetch, both, now=now, seen=None, limit=9)) == {"auditor-signature"}
    for kept in (state, State(origin=ORIGIN)):
        with pytest.raises(LogError, match="given up"):
            follow(fetch, {NAMESPACE: both}, kept, now)


def test_an_epoch_under_old_keys_is_an_alarm_when_it_is_the_last(audited: World) -> None:
    state, both = watch(audited), Lineage((audited.root, rotated(audited)))
    fetch, now = open_source(public(audited)), int(time.time())
    assert follow(fetch, {NAMESPACE: both}, state, now).epochs == []
    opened = audited.open()
    last = opened.namespaces.last(NAMESPACE)
    opened.close()
    assert last is not None
    append(audited, entry(following(last[2].raw), audited=audited))
    with pytest.raises(LogError, match="clients of version 2 do not believe it"):
        follow(fetch, {NAMESPACE: both}, state, now)


def test_a_successor_of_another_namespace_is_refused(audited: World) -> None:
    document = trust.root_of_trust(version=2, namespace="vault.example/others")
    with pytest.raises(ConfigError, match="not watched"):
        lineages([audited.root], [sign_envelope(ROOT_TYPE, document.raw, [trust.auditor()])])


# -- over HTTP


@pytest.mark.parametrize(
    "location", ["http://h:99999", "http://h:x", "http://[::1", "ftp://h", "http://", "http://h/?x=1", "http://u:p@h"]
)
def test_is_no_address(location: str) -> None:
    with pytest.raises(ConfigError, match="no http or https address"):
        open_source(location)("checkpoint")


def test_the_same_over_http(audited: World) -> None:
    server = HttpServer(Address(host="127.0.0.1", port=0), serving(audited.auditor / "public"))
    url = f"http://127.0.0.1:{server.port}"
    found = look(open_source(url), Lineage((audited.root,)), now=int(time.time()), seen=None, limit=9)
    assert not failed(found)
    assert len(found.epochs) == 3
    for path in ("/", "/../auditor.toml", "/keys/log.pem", "/tile/0/000.p/4/../../../../keys/log.pem", "/tile/0/000"):
        assert request("GET", url + path).status == 404
    assert request("POST", url + "/checkpoint", b"x").status == 413
    assert "no-cache" in request("GET", url + "/checkpoint").headers["Cache-Control"]
    assert "immutable" in request("GET", url + "/tile/0/000.p/4").headers["Cache-Control"]
    server.close()
    with pytest.raises(QuorumError):
        look(open_source(url), Lineage((audited.root,)), now=int(time.time()), seen=None, limit=9)
