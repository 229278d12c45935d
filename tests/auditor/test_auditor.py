"""The auditor's rules and its two acts: what is signed, what is not, and what a crash leaves behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hsm_app.auditor.namespaces import FILE as NAMESPACES
from hsm_app.auditor.whole import verify_whole
from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.bundle import verify_bundle
from hsm_app.fleet.dsse import parse_envelope
from hsm_app.fleet.manifest import Assurance, AssuranceLevel
from hsm_app.fleet.manifest_json import parse_manifest
from hsm_app.fleet.publication import changes
from hsm_app.key_files import make_key_file
from hsm_app.net.address import Address
from hsm_app.net.http import HttpServer
from hsm_app.tlog.cosignature import cosigned_at
from hsm_app.tlog.note import Note, parse_note
from hsm_app.tlog.witness_exchange import LIMIT
from hsm_app.witness.service import answering
from hsm_app.witness.settings import create_witness, open_witness
from tests.auditor.world import DAY, World, following, manifest, world
from tests.fleet import trust
from tests.fleet.example import example_fleet

VENDOR = Assurance(
    key_custody=AssuranceLevel.VENDOR_ROOTED,
    code_enforcement=AssuranceLevel.NONE,
    anchor_freshness=AssuranceLevel.NONE,
)


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def test_epochs_are_signed_logged_and_believed_one_after_the_other(audited: World) -> None:
    raw, seen = manifest(), None
    for epoch in (1, 2, 3):
        published = audited.whole(raw)
        found = verify_bundle(published.bundle, audited.root, now=int(time.time()), seen=seen)
        assert (found.manifest.raw, found.checkpoint.size, published.index) == (raw, epoch, epoch - 1)
        seen, raw = found.seen, following(raw)


REFUSED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "the same epoch again": ("delta", lambda last: last),
    "an epoch left out": ("delta", lambda last: following(following(last))),
    "another predecessor": ("delta", lambda _: manifest(2, bytes(32))),
    "a manifest that has expired": ("freshness", lambda last: following(last, not_after=int(time.time()) - 1)),
    "a manifest of the future": (
        "freshness",
        lambda last: following(last, issued_at=int(time.time()) + DAY, not_after=int(time.time()) + 9 * DAY),
    ),
    "a manifest that is not valid yet": (
        "freshness",
        lambda last: following(last, not_before=int(time.time()) + DAY),
    ),
    "a claim without evidence": (
        "artifact",
        lambda last: following(last, fleets=(replace(example_fleet(), assurance=VENDOR),)),
    ),
}


@pytest.mark.parametrize(("check", "make"), REFUSED.values(), ids=REFUSED.keys())
def test_is_not_signed(audited: World, check: str, make: Callable[[bytes], bytes]) -> None:
    raw = manifest()
    audited.whole(raw)
    with pytest.raises(LogError) as refused:
        audited.sign(make(raw))
    assert refused.value.check == check
    evident = replace(example_fleet(), assurance=VENDOR, evidence_sha256=bytes(32))
    audited.sign(following(raw, fleets=(evident,)))


def test_an_epoch_is_signed_with_one_content(audited: World) -> None:
    raw = manifest()
    assert audited.sign(raw) == audited.sign(raw)
    with pytest.raises(LogError, match="other content"):
        audited.sign(manifest(fleets=(trust.other_fleet(),)))


def test_a_namespace_that_is_not_audited_here_is_refused(audited: World) -> None:
    with pytest.raises(ConfigError, match="no namespace of this auditor"):
        audited.sign(manifest(namespace="vault.example/others"))


def test_what_the_operator_did_not_counter_sign_is_not_logged(audited: World) -> None:
    envelope = audited.sign(manifest())
    stranger = trust.sign_countersignature(
        parse_manifest(manifest()), trust.parse_envelope(envelope, trust.MANIFEST_TYPE), [trust.operator(5)]
    )
    with pytest.raises(LogError) as refused:
        audited.publish(envelope, stranger)
    assert refused.value.check == "counter-signature"
    opened = audited.open()
    assert opened.log.checkpoint.size == 0
    opened.close()


def test_without_enough_witnesses_it_is_logged_and_goes_on_later(audited: World) -> None:
    envelope = audited.sign(manifest())
    port = audited.servers[1].port
    audited.servers[1].close()
    with pytest.raises(LogError, match="too few witnesses") as refused:
        audited.publish(envelope)
    assert refused.value.check == "witnesses"
    assert f"127.0.0.1:{port}" in str(refused.value)


def public_note(audited: World) -> Note:
    return parse_note((audited.auditor / "public" / "checkpoint").read_bytes())


def test_a_witness_that_is_away_takes_no_cosignature_from_the_public(audited: World) -> None:
    """Neither when the same tree is renewed, nor when it grew: a monitor would find too few."""
    envelope = audited.sign(manifest())
    counter = audited.countersign(envelope)
    audited.publish(envelope, counter)
    keys = [endpoint.key for endpoint in audited.root.policy.witnesses.values()]
    before = public_note(audited)
    audited.servers[1].close()
    renewed = audited.publish(envelope, counter)
    assert (list(renewed.missing), renewed.is_renewed) == (["w1"], False)
    assert all(cosigned_at(public_note(audited), key) for key in keys)
    assert verify_bundle(renewed.bundle, audited.root, now=int(time.time()), seen=None).manifest.epoch == 1
    assert public_note(audited).of(keys[1]) == before.of(keys[1])
    with pytest.raises(LogError, match="too few witnesses"):
        audited.whole(following(parse_envelope(envelope, trust.MANIFEST_TYPE).payload))
    assert public_note(audited).text == before.text
    opened = audited.open()
    assert opened.log.checkpoint.size == 2
    opened.close()


def test_an_auditor_that_was_put_back_hears_so_though_its_old_cosignatures_are_fresh(audited: World) -> None:
    raw = manifest()
    envelope = audited.sign(raw)
    counter = audited.countersign(envelope)
    audited.publish(envelope, counter)
    shutil.copytree(audited.auditor, audited.directory / "kept")
    audited.whole(following(raw))
    shutil.rmtree(audited.auditor)
    (audited.directory / "kept").rename(audited.auditor)
    before = public_note(audited)
    with pytest.raises(LogError, match=r"more than it has.*append nothing here"):
        audited.publish(envelope, counter)
    with pytest.raises(LogError, match="refused: 422"):
        audited.whole(following(raw, fleets=(trust.next_members(),)))
    assert public_note(audited) == before


def test_witnesses_of_every_namespace_cosign_and_a_bundle_carries_its_own(audited: World) -> None:
    made = create_witness(audited.directory / "w9", "w9.example", (audited.root.policy.log(audited.root.origin).key,))
    witness = open_witness(audited.directory / "w9")
    answer = answering(witness, lambda: int(time.time()))
    server = HttpServer(Address(host="127.0.0.1", port=0), answer, body_limit=LIMIT)
    lines = [line for line in audited.root.policy_lines if line.startswith("log ")]
    other = trust.root_of_trust(
        namespace="vault.example/others",
        auditors=audited.root.auditors,
        policy=[*lines, f"witness w1 {made.text} http://127.0.0.1:{server.port}", "quorum w1"],
        issued_at=int(time.time()) - DAY,
        expires_at=int(time.time()) + DAY,
    )
    (audited.directory / "other.json").write_bytes(other.raw)
    with (audited.auditor / "auditor.toml").open("a") as settings:
        settings.write('"vault.example/others" = "../other.json"\n')
    published = audited.whole(manifest())
    server.close()
    witness.close()
    assert cosigned_at(public_note(audited), made)
    assert b"w9.example" not in published.bundle


def test_publishing_again_logs_nothing_twice(audited: World) -> None:
    envelope = audited.sign(manifest())
    counter = audited.countersign(envelope)
    first = audited.publish(envelope, counter)
    again = audited.publish(envelope, counter)
    assert (again.index, again.size) == (first.index, first.size) == (0, 1)


def killed(audited: World, step: int, act: str, *contents: bytes) -> int | None:
    files = []
    for number, content in enumerate(contents):
        files.append(str(audited.directory / f"file-{number}"))
        Path(files[-1]).write_bytes(content)
    script = str(Path(__file__).with_name("killed_auditor.py"))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, script, str(audited.auditor), str(step), act, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode in (0, -9), done.stderr
    return int(done.stdout) if done.returncode == 0 else None


def test_an_auditor_killed_while_signing_signed_nothing_or_one_content(audited: World) -> None:
    raw = manifest()
    for step in range(4):
        if killed(audited, step, "sign", raw) is not None:
            assert step == 1
            break
        assert audited.sign(raw) == audited.sign(raw)
        next((audited.auditor / "signed").iterdir()).unlink()
    else:
        raise AssertionError("no run came to the end")


def test_an_auditor_killed_while_publishing_goes_on_where_it_was(audited: World) -> None:
    raw = manifest()
    audited.whole(raw)
    for step in range(12):
        raw = following(raw)
        envelope = audited.sign(raw)
        counter = audited.countersign(envelope)
        ended = killed(audited, step, "publish", envelope, counter)
        published = audited.publish(envelope, counter)
        found = verify_bundle(published.bundle, audited.root, now=int(time.time()), seen=None)
        assert (found.manifest.raw, found.checkpoint.size) == (raw, step + 2)
        if ended is not None:
            assert step == ended == 6  # entries, tile, signature, index, plexi's audit, public checkpoint
            return
    raise AssertionError("no run came to the end")


def test_a_lost_or_damaged_index_is_made_anew(audited: World) -> None:
    raw = manifest()
    audited.whole(raw)
    audited.whole(following(raw))
    path = audited.auditor / NAMESPACES
    for content in (None, b"", b"{}", b'{"size": 99, "namespaces": {}}', b'{"size": 2, "namespaces": []}'):
        path.unlink() if content is None else path.write_bytes(content)
        opened = audited.open()
        assert [found.epoch for _, _, found in opened.namespaces.entries(trust.NAMESPACE)] == [1, 2]
        opened.close()


def test_the_whole_log_is_verified_and_each_damaged_file_is_named(audited: World) -> None:
    audited.whole(manifest())
    opened = audited.open()
    key = audited.root.policy.log(audited.root.origin).key
    assert verify_whole(opened.log, key).entries == 1
    for file in ("tile/0/000.p/1", "tile/entries/000.p/1", "checkpoint"):
        path = audited.auditor / "public" / file
        kept = path.read_bytes()
        for damage in (bytes(len(kept)), b"", None):
            path.unlink() if damage is None else path.write_bytes(damage)
            with pytest.raises(LogError, match=file):
                verify_whole(opened.log, key)
        path.write_bytes(kept)
    opened.close()
    (audited.auditor / "signed-checkpoint").write_bytes(b"no note")
    with pytest.raises(LogError, match=f"{audited.auditor}/signed-checkpoint: .*`hsm-vault auditor verify` shows"):
        audited.open()


def test_what_changes_is_said_in_words() -> None:
    raw = manifest()
    old, new = parse_manifest(raw), parse_manifest(following(raw, fleets=(trust.other_fleet(),)))
    lines = changes(old, new)
    assert [line for line in lines if "session key" in line] == [
        f"~ fleet fleet-1 session key: {old.fleets[0].kem_public.hex()} -> {new.fleets[0].kem_public.hex()}"
    ]
    assert all(line.startswith("+ ") for line in changes(None, old))


def test_a_root_of_trust_with_another_key_for_the_log_is_refused(audited: World) -> None:
    """Or an entry would be logged that nobody can believe."""
    opened = audited.open()
    opened.close()
    (audited.auditor / "keys" / "log.pem").unlink()
    make_key_file(audited.auditor / "keys" / "log.pem")
    with pytest.raises(ConfigError, match="another key for the log"):
        audited.open()
