"""What the participants of a ceremony sign about it afterwards, each with a key of their own.

A participant signs one sentence, over the digests of the script and of the transcript: that both hold, or that they do
not and why. Nobody can be made to sign anything longer. The signature is made with OpenSSH (`hsm_app.evidence.sshsig`,
namespace "hsm-vault-ceremony") over the file of the testimony, or as a DSSE envelope around it, by a key in a token. A
testimony about another ceremony, in another role or under another name is refused, and one that disagrees is read like
any other: `audit` says what it means.

A signature proves that the holder of a key stands by the sentence. It does not prove who holds the key, which is what
the video and the people in the room are for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from hsm_app.ceremony.plan import NAME, Person, Role
from hsm_app.errors import ConfigError, LogError
from hsm_app.evidence.sshsig import parse_ssh_public_key, parse_ssh_signature
from hsm_app.fleet.dsse import parse_envelope, sign_envelope
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey, Signer
from hsm_app.fleet.strict_json import load_document

SCHEMA = "hsm-vault/ceremony-testimony/v1"
TESTIMONY_TYPE = "application/vnd.hsm-vault.ceremony-testimony.v1+json"
SSH_NAMESPACE = "hsm-vault-ceremony"
SIGNATURE = "participant-signature"
LIMIT = 16 * 1024  # bytes
AGREES = "I followed the script without deception, and the transcript is a true record."
OBJECTS = "I do not agree that the script was followed and that the transcript is a true record."
# Several lines of plain text: no control, line-separator, direction or surrogate character can dress up what it says.
_OBJECTION = re.compile(
    "[^\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]{1,2000}"
)
_SAYS = {AGREES: True, OBJECTS: False}
_ROLES = {role.value: role for role in Role}


@dataclass(frozen=True, slots=True)
class CeremonyRecord:
    """What a testimony is about: the SHA-256 (32 bytes) of the script beforehand and of the transcript afterwards."""

    script_sha256: bytes
    transcript_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Testimony:
    """What a participant says. `objection` is None for one who agrees."""

    name: str
    role: Role
    record: CeremonyRecord
    objection: str | None = field(repr=False)


def key_of(person: Person) -> RoleKey:
    """Return the key that a plan names for a person. LogError ("participant-signature") when it is none."""
    algorithm, _, public = person.key.partition(":")
    if algorithm not in {each.value for each in KeyAlgorithm}:
        return parse_ssh_public_key(person.key)
    try:
        return RoleKey(KeyAlgorithm(algorithm), bytes.fromhex(public))
    except (ValueError, ConfigError):
        raise LogError(SIGNATURE, f"the key of {person.name} is no public key") from None


def check_own_keys(people: Iterable[Person]) -> None:
    """LogError ("participant-signature") when two have the same key, in whatever form: one hand would sign for both."""
    owners: dict[RoleKey, Person] = {}
    for person in people:
        if (other := owners.setdefault(key_of(person), person)) is not person:
            raise LogError(SIGNATURE, f"{other.name} and {person.name} have the same key")


def encode_testimony(person: Person, record: CeremonyRecord, objection: str | None = None) -> bytes:
    """Return the file for a person to sign. LogError ("testimony") for an objection that would not read."""
    document = {
        "schema": SCHEMA,
        "name": person.name,
        "role": person.role.value,
        "script_sha256": record.script_sha256.hex(),
        "transcript_sha256": record.transcript_sha256.hex(),
        "says": AGREES if objection is None else OBJECTS,
        "objection": objection,
    }
    raw = json.dumps(document, indent=1).encode() + b"\n"
    parse_testimony(raw)
    return raw


def sign_testimony(testimony: bytes, signer: Signer) -> bytes:
    """Return the envelope of a testimony, for a person whose key is not an SSH key."""
    return sign_envelope(TESTIMONY_TYPE, testimony, [signer])


def parse_testimony(raw: bytes) -> Testimony:
    """Read a testimony that nobody verified. LogError ("testimony") for anything else."""
    try:
        return _parse(raw)
    except ConfigError as error:
        raise LogError("testimony", error.what, error.todo) from None


def verify_envelope(raw: bytes, person: Person, record: CeremonyRecord) -> Testimony:
    """Return what a person signed in a DSSE envelope.

    LogError: "artifact" or "testimony" when it does not read, "participant-signature" when the key did not sign,
    "testimony" when it is somebody else's or about another ceremony.
    """
    envelope = parse_envelope(raw, TESTIMONY_TYPE)
    if not envelope.signers([key_of(person)]):
        raise LogError(SIGNATURE, f"{person.name} did not sign this testimony")
    return _belonging(envelope.payload, person, record)


def verify_ssh(testimony: bytes, signature: bytes, person: Person, record: CeremonyRecord) -> Testimony:
    """Return what a person signed with OpenSSH: the testimony's file and the .sig file beside it.

    LogError as `verify_envelope`.
    """
    parse_ssh_signature(signature).check(testimony, SSH_NAMESPACE, key_of(person))
    return _belonging(testimony, person, record)


def _belonging(raw: bytes, person: Person, record: CeremonyRecord) -> Testimony:
    testimony = parse_testimony(raw)
    if (testimony.name, testimony.role) != (person.name, person.role):
        raise LogError("testimony", f"the testimony is not that of {person.name}, {person.role}")
    if testimony.record != record:
        raise LogError("testimony", f"{person.name} testifies about another script or transcript")
    return testimony


def _parse(raw: bytes) -> Testimony:
    root = load_document(raw, "testimony", LIMIT)
    of = root.members("schema", "name", "role", "script_sha256", "transcript_sha256", "says", "objection")
    of("schema").one_of({SCHEMA: SCHEMA})
    objection = of("objection").optional(lambda node: node.text(_OBJECTION))
    if of("says").one_of(_SAYS) != (objection is None):
        of("objection").refuse("is for those who do not agree, and they give one")
    return Testimony(
        name=of("name").text(NAME),
        role=of("role").one_of(_ROLES),
        record=CeremonyRecord(of("script_sha256").hexadecimal(32), of("transcript_sha256").hexadecimal(32)),
        objection=objection,
    )
