"""What can be wrong with a bundle, its manifest, or the root of trust that somebody looks at it by: tables of cases."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from random import Random
from typing import Any

from hsm_app.evidence.dossier import BUNDLE, MANIFEST
from hsm_app.fleet.bundle import LIMIT, join_bundle, split_bundle
from hsm_app.fleet.countersignature import COUNTERSIGNATURE_TYPE, MANIFEST_TYPE
from hsm_app.fleet.dsse import sign_envelope
from hsm_app.fleet.root_of_trust import Role
from hsm_app.tlog.checkpoint import Checkpoint
from hsm_app.tlog.note import Note, NoteSignature, parse_note
from tests.evidence.deployment import Deployment, Files
from tests.evidence.tampering import without
from tests.fleet import trust
from tests.fleet.example import NOW
from tests.fleet.trust import DAY, auditor, operator, policy_lines, root_of_trust
from tests.fuzz.mutator import mutate
from tests.tlog import keys

MUTATIONS = 20
PLACES = ((0, 1), (0, 2), (2, 3), (4, 5), (5, 11), (10, 11), (6, 16))  # of a leaf, in a log of so many
Document = dict[str, Any]
Edit = Callable[[Document], object]


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is published, whom its reader trusts, and words of why it fails; none where it holds."""

    files: Files
    root: bytes = field(default_factory=lambda: root_of_trust().raw)
    why: str = ""


class Scene:
    """What whoever tampers has: everything but the reader's root of trust."""

    def __init__(self, made: Deployment, other: Deployment) -> None:
        self.files, self.other = made.files, other.files
        self.manifest = self.files[MANIFEST]
        self.entry, self.proof = split_bundle(self.files[BUNDLE])
        self.auditor, self.operator = self.entry.auditor.raw, self.entry.operator.raw

    def bundled(self, bundle: bytes) -> Files:
        return {**self.files, BUNDLE: bundle}

    def logged(self, auditors: bytes, operators: bytes, index: int = 2, size: int = 3, **how: Any) -> Files:
        """The log takes any two lines, and witnesses cosign it: so it is nothing but the lines that can be wrong."""
        entries = [b"of somebody else %d" % number for number in range(size)]
        entries[index] = auditors + b"\n" + operators + b"\n"
        return self.bundled(trust.Log(entries).bundle(entries[index], **how))

    def countersigned(self, auditors: bytes, *, by: trust.EcSigner | None = None, **said: object) -> Files:
        """The operator counter-signs an auditors' line, and can say something else than it should."""
        document = json.loads(self.entry.operator.payload)
        signatures = [base64.b64decode(one["sig"]) for one in json.loads(auditors)["signatures"]]
        document["auditor_signatures_sha256"] = [sha256(one).hexdigest() for one in signatures]
        raw = json.dumps({**document, **said}).encode()
        return self.logged(auditors, sign_envelope(COUNTERSIGNATURE_TYPE, raw, [by or operator()]))

    def signed(self, *auditors: trust.EdSigner) -> bytes:
        return sign_envelope(MANIFEST_TYPE, self.manifest, auditors)

    def padded(self, count: int) -> bytes:
        """The operator's line, with blanks at the end of what is signed."""
        return sign_envelope(COUNTERSIGNATURE_TYPE, self.entry.operator.payload + b" " * count, [operator()])

    def published(self, **attempts: object) -> Files:
        """Auditor and operator sign a manifest that says something else of guesses, and it is in the log."""
        document = json.loads(self.manifest)
        document["fleets"][0]["attempts"].update(attempts)
        raw = json.dumps(document, indent=1).encode()
        signed = sign_envelope(MANIFEST_TYPE, raw, [auditor()])
        return {**self.countersigned(signed, manifest_sha256=sha256(raw).hexdigest()), MANIFEST: raw}

    def proved(self, **changes: Any) -> Files:
        return self.bundled(join_bundle(self.entry.raw, replace(self.proof, **changes)))

    def noted(self, change: Callable[[Note], Note]) -> Files:
        return self.proved(checkpoint=change(parse_note(self.proof.checkpoint)).to_bytes())

    def checkpoint(self, **changes: Any) -> Files:
        """Another checkpoint, which log and witnesses have signed."""
        old = Checkpoint.parse(parse_note(self.proof.checkpoint).text)
        return self.proved(checkpoint=keys.signed(replace(old, **changes), 0, 1).to_bytes())

    def put(self, old: bytes, new: bytes) -> Files:
        """Other bytes in the proof."""
        proof = self.proof.to_bytes()
        assert old in proof, old
        return self.bundled(self.entry.raw + proof.replace(old, new, 1))


def retyped(envelope: bytes, edit: Edit) -> bytes:
    document = json.loads(envelope)
    edit(document)
    return json.dumps(document, separators=(",", ":")).encode()


def flipped(document: Document) -> None:
    """Change a bit in the middle of the first signature."""
    signature = bytearray(base64.b64decode(document["signatures"][0]["sig"]))
    signature[len(signature) // 2] ^= 1
    document["signatures"][0]["sig"] = base64.b64encode(signature).decode()


def signed_again(document: Document) -> None:
    document["signatures"].append({"keyid": "again", "sig": base64.b64encode(bytes(64)).decode()})


def seventeen(document: Document) -> None:
    document["signatures"] *= 17


def named(document: Document) -> None:
    document["note"] = "of nobody"


def with_blobs(note: Note, name: str, change: Callable[[bytes], bytes]) -> Note:
    lines = [replace(one, blob=change(one.blob)) if one.name == name else one for one in note.signatures]
    return Note(note.text, tuple(lines))


def broken(name: str) -> Callable[[Note], Note]:
    return partial(with_blobs, name=name, change=lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]))


def with_strangers(note: Note, count: int) -> Note:
    """Lines of keys that nobody knows are passed over, as long as they are not too many."""
    return with_names(note, [f"s{number}" for number in range(count)])


def with_names(note: Note, names: Iterable[str]) -> Note:
    return note.with_signatures(NoteSignature(name, bytes(4), bytes(64)) for name in names)


def smaller(scene: Scene) -> Files:
    """The last leaf of four, with their root, in a log that signs that it has two."""
    proof = split_bundle(scene.logged(scene.auditor, scene.operator, 3, 4)[BUNDLE])[1]
    root = Checkpoint.parse(parse_note(proof.checkpoint).text).root
    checkpoint = keys.signed(Checkpoint(keys.ORIGIN, 2, root), 0, 1).to_bytes()
    return scene.proved(index=1, hashes=proof.hashes, checkpoint=checkpoint)


def by_root(scene: Scene) -> dict[str, Case]:
    """The bundle as it was published, by another root of trust."""
    both = Role(2, (auditor().key, auditor(1).key))
    stranger = [f"log {keys.LOG.text}", f"witness w2 {keys.WITNESSES[2].text}", "quorum w2"]
    vkey = replace(keys.LOG, public=keys.public(3)).text
    roots = {
        "all as it was published": (root_of_trust(), ""),
        "the root of trust has expired": (root_of_trust(issued_at=NOW - 9 * DAY, expires_at=NOW - 8 * DAY), ""),
        "the epoch is below the least trusted one": (root_of_trust(minimum_epoch=9), ""),
        "one witness is enough": (root_of_trust(policy=policy_lines("w0")), ""),
        "the auditor is another": (root_of_trust(auditors=Role(1, (auditor(1).key,))), "auditors"),
        "two auditors are needed": (root_of_trust(auditors=both), "auditors"),
        "the operator is another": (root_of_trust(operators=Role(1, (operator(1).key,))), "operators"),
        "the namespace is another": (root_of_trust(namespace="vault.example/other"), "not of vault.example/other"),
        "the witness is another": (root_of_trust(policy=stranger), "too few witnesses"),
        "the key of the log is another": (
            root_of_trust(policy=[line.replace(keys.LOG.text, vkey) for line in policy_lines()]),
            "log.example/fleets did not sign",
        ),
    }
    return {name: Case(files=scene.files, root=root.raw, why=why) for name, (root, why) in roots.items()}


def by_entry(scene: Scene) -> dict[str, Case]:
    """Other lines, which are in a log: it is not the proof that is wrong."""
    first, second = scene.auditor, scene.operator
    own = scene.countersigned
    files = {
        "the auditor's signature is changed": (own(retyped(first, flipped)), "auditors"),
        "the operator's signature is changed": (scene.logged(first, retyped(second, flipped)), "operators"),
        "a stranger signed for the auditor": (own(scene.signed(auditor(9))), "auditors"),
        "a stranger signed for the operator": (own(first, by=operator(9)), "operators"),
        "another manifest is counter-signed": (own(first, manifest_sha256="00" * 32), "another manifest"),
        "another epoch is counter-signed": (own(first, epoch=2), "another manifest"),
        "another signature of the auditor is counter-signed": (
            scene.logged(retyped(first, signed_again), second),
            "another signature",
        ),
        "the counter-signature says more than it should": (own(first, note=1), "unknown member"),
        "the counter-signature is too long": (scene.logged(first, scene.padded(8 * 1024)), "more than 8192"),
        "the manifest says what none may say": (scene.published(maximum=11), "maximum"),
        "there are seventeen signatures": (own(retyped(first, seventeen)), "too many"),
        "an envelope has one more member": (own(retyped(first, named)), "unknown member"),
        "both lines are the operator's": (scene.logged(second, second), "type"),
        "the lines are exchanged": (scene.logged(second, first), "type"),
    }
    cases = {name: Case(files=each, why=why) for name, (each, why) in files.items()}
    root = root_of_trust(auditors=Role(2, (auditor().key, auditor(1).key)))
    cases["two auditors signed"] = Case(files=own(scene.signed(auditor(), auditor(1))), root=root.raw)
    once_more = own(scene.signed(auditor(), auditor()))
    cases["one auditor signed twice"] = Case(files=once_more, root=root.raw, why="auditors")
    return cases


def by_proof(scene: Scene) -> dict[str, Case]:
    """The lines are as they were published, and their proof or its checkpoint is not."""
    hashes, index = scene.proof.hashes, b"index %d\n" % scene.proof.index
    size = Checkpoint.parse(parse_note(scene.proof.checkpoint).text).size
    logged = partial(scene.logged, scene.auditor, scene.operator)
    name = keys.WITNESSES[0].name
    files = {
        "a hash of the proof is changed": (scene.proved(hashes=(bytes(32), *hashes[1:])), "inclusion proof"),
        "a hash of the proof is missing": (scene.proved(hashes=hashes[1:]), "inclusion proof"),
        "a hash of the proof is too many": (scene.proved(hashes=(*hashes, bytes(32))), "inclusion proof"),
        "a hash of the proof is short": (scene.proved(hashes=(*hashes, bytes(31))), "32 bytes"),
        "the proof has sixty-four hashes": (scene.proved(hashes=(bytes(32),) * 64), "its proof"),
        "the index is another": (scene.proved(index=0), "inclusion proof"),
        "the index is behind the end": (scene.proved(index=size), "not among the first"),
        "the index has a zero before it": (scene.put(index, b"index 0%d\n" % scene.proof.index), "index"),
        "the index is missing": (scene.put(index, b""), "index"),
        "there is a line that nobody signed": (scene.put(index, b"extra AAAA\n" + index), "index"),
        "the proof is of another version": (scene.put(b"@v1", b"@v2"), "tlog-proof@v1"),
        "the proof is of another leaf": (
            scene.bundled(scene.entry.raw + split_bundle(logged(size=11)[BUNDLE])[1].to_bytes()[:-1]),
            "signed note",
        ),
        "the log has other leaves": (
            scene.proved(checkpoint=split_bundle(logged()[BUNDLE])[1].checkpoint),
            "does not lead to the root",
        ),
        "the log is smaller than the leaf's index": (scene.checkpoint(size=1), "not among the first"),
        "the log says that it is larger": (scene.checkpoint(size=11), "too short"),
        "the log says that it is smaller": (smaller(scene), "too long"),
        "the root is another": (scene.checkpoint(root=bytes(32)), "does not lead to the root"),
        "the checkpoint's size is changed": (scene.put(b"\n%d\n" % size, b"\n%d\n" % (size + 1)), "does not hold"),
        "the checkpoint has control characters": (scene.put(b"\n%d\n" % size, b"\n%d\t\n" % size), "signed note"),
        "the log's signature is changed": (scene.noted(broken(keys.ORIGIN)), "does not hold"),
        "a witness's signature is changed": (scene.noted(broken(name)), "does not hold"),
        "a witness's line is cut": (scene.noted(partial(with_blobs, name=name, change=lambda one: one[:40])), "hold"),
        "one witness is missing": (logged(witnesses=(0,)), "too few witnesses"),
        "no witness is there": (logged(witnesses=()), "too few witnesses"),
        "the log did not sign": (
            scene.noted(lambda note: Note(note.text, note.signatures[1:])),
            "did not sign the checkpoint",
        ),
        "a stranger's name has a control character": (scene.noted(partial(with_names, names=["s\x01"])), "malformed"),
        "a stranger's name has a line's end": (scene.noted(partial(with_names, names=["s\x85"])), "malformed"),
        "sixty-five keys signed": (scene.noted(partial(with_strangers, count=62)), "signed note"),
    }
    cases = {name: Case(files=each, why=why) for name, (each, why) in files.items()}
    cases["sixty-four keys signed"] = Case(files=scene.noted(partial(with_strangers, count=61)))
    cases["a stranger's name has an odd sign"] = Case(files=scene.noted(partial(with_names, names=["s\ufeff\u200b"])))
    cases["the witnesses saw it long ago"] = Case(files=logged(at=NOW - 400 * DAY))
    cases |= {f"leaf {index} of {size}": Case(files=logged(index=index, size=size)) for index, size in PLACES}
    other = keys.sign_note(Checkpoint("log.example/other", 1, bytes(32)).to_text(), keys.LOG, keys.private(1).sign)
    cases["the checkpoint is of another log"] = Case(files=scene.proved(checkpoint=other.to_bytes()), why="another log")
    return cases


def by_file(scene: Scene) -> dict[str, Case]:
    """The files themselves."""
    bundle = scene.files[BUNDLE]
    lines = bundle.splitlines(keepends=True)
    files = {
        "the bundle is of another manifest": (scene.bundled(scene.other[BUNDLE]), "another manifest"),
        "the manifest is another": ({**scene.files, MANIFEST: scene.other[MANIFEST]}, "another manifest"),
        "the manifest ends with one more blank": ({**scene.files, MANIFEST: scene.manifest + b" "}, "another manifest"),
        "the manifest is missing": (without(scene.files, MANIFEST), "manifest.json is missing"),
        "the bundle is empty": (scene.bundled(b""), BUNDLE),
        "the bundle is no text": (scene.bundled(bundle + b"\xff\n"), "UTF-8"),
        "the bundle is too long": (scene.bundled(bundle + b"\n" * LIMIT), "64 KiB"),
        "the bundle has other line ends": (scene.bundled(bundle.replace(b"\n", b"\r\n")), BUNDLE),
        "the bundle ends in the middle": (scene.bundled(bundle[: len(bundle) // 2]), BUNDLE),
        "the bundle lacks its last byte": (scene.bundled(bundle[:-1]), BUNDLE),
        **{f"the bundle has {n} lines": (scene.bundled(b"".join(lines[:n])), BUNDLE) for n in range(1, len(lines) - 1)},
    }
    return {name: Case(files=each, why=why) for name, (each, why) in files.items()}


def mutated(scene: Scene) -> Iterator[Files]:
    """Seeded."""
    random = Random("bundle")
    for _ in range(MUTATIONS):
        content = bytearray(scene.files[BUNDLE])
        mutate(content, random, [scene.other[BUNDLE]])
        yield scene.bundled(bytes(content))


def no_roots(published: bytes) -> dict[str, bytes]:
    """Files that the program refuses as a root of trust."""
    raw = root_of_trust().raw

    def with_policy(*lines: str) -> bytes:
        return retyped(raw, lambda document: document.update(policy=[*policy_lines()[:-1], *lines]))

    def edited(edit: Edit) -> bytes:
        return retyped(raw, edit)

    key, witness = auditor().key.public.hex(), keys.WITNESSES[2].text
    return {
        "nothing": b"",
        "no text": b"\xff",
        "no JSON": b"root of trust",
        "null": b"null",
        "a list": b"[]",
        "a manifest": published,
        "too long": raw + b" " * 16_384,
        "one more member": edited(lambda document: document.update(note="x")),
        "a member less": edited(lambda document: document.pop("issued_at")),
        "another schema": raw.replace(b"root-of-trust/v1", b"root-of-trust/v2"),
        "a number with a point": raw.replace(b'"version": 1', b'"version": 1.0'),
        "a number that is too small": raw.replace(b'"version": 1', b'"version": 0'),
        "a time that does not exist": edited(lambda document: document.update(expires_at="2027-02-30T00:00:00Z")),
        "a time with another zone": edited(lambda document: document.update(expires_at="2027-02-20T00:00:00+01:00")),
        "an end before the beginning": edited(lambda document: document.update(expires_at=document["issued_at"])),
        "a name with a blank": edited(lambda document: document.update(namespace="a b")),
        "a log of which there is no key": edited(lambda document: document.update(origin="log.example/other")),
        "no auditor": edited(lambda document: document.update(auditors={"threshold": 1, "keys": []})),
        "a threshold of none": edited(lambda document: document["auditors"].update(threshold=0)),
        "a threshold above the keys": edited(lambda document: document["auditors"].update(threshold=2)),
        "one key twice": edited(lambda document: document["auditors"].update(keys=document["auditors"]["keys"] * 2)),
        "one key in two roles": edited(lambda document: document.update(operators=document["auditors"])),
        "a key of another kind": edited(lambda document: document["auditors"]["keys"][0].update(alg="RS256")),
        "a key that is too short": edited(lambda document: document["auditors"]["keys"][0].update(public_key=key[2:])),
        "a key that is no point": edited(lambda d: d["operators"]["keys"][0].update(public_key="02" + "ff" * 32)),
        "a policy of nothing": edited(lambda document: document.update(policy=[])),
        "a policy that is no list": edited(lambda document: document.update(policy="quorum none")),
        "a policy of numbers": edited(lambda document: document.update(policy=[1])),
        "no quorum": with_policy(),
        "two quorums": with_policy("quorum both", "quorum both"),
        "a quorum of nobody": with_policy("quorum w9"),
        "a line too long": with_policy("quorum both w0"),
        "a line of another word": with_policy("quorum both", "witnesses w3"),
        "a log without its key": with_policy("quorum both", "log"),
        "a witness without a key": with_policy("quorum both", "witness w3"),
        "a witness of the name none": with_policy(f"witness none {witness}", "quorum none"),
        "a witness of a log's key": with_policy(f"witness w3 {keys.LOG.text}", "quorum both"),
        "a key with another id": with_policy(f"witness w3 {witness.replace('+', '+0', 1)}", "quorum both"),
        "a group of strangers": with_policy("group more any w8 w9", "quorum more"),
        "a member of two groups": with_policy("group more any w0", "quorum more"),
        "a member twice": with_policy(f"witness w3 {witness}", "group more any w3 w3", "quorum more"),
        "a group that asks for too many": with_policy(f"witness w3 {witness}", "group more 2 w3", "quorum more"),
        "a group that asks for 1e0": with_policy(f"witness w3 {witness}", "group more 1e0 w3", "quorum more"),
    }
