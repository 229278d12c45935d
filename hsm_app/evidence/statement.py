"""The statement over all files of a deployment's evidence: an in-toto Statement v1 in a DSSE envelope.

It names each file by its SHA-256, and is signed by the first token's `replica-identity`. The manifest names the
statement (`evidence_sha256` is the SHA-256 of the envelope's payload), so one chain leads from the public log over the
manifest to each file. The statement therefore cannot name the manifest; it names the fleet's entry in it, fleet.json,
whose `evidence_sha256` is null.

When a token is replaced, the new token signs a statement of another predicate, which also names the statement before
it (`previous_sha256`), the one that the manifest has named until then. So the chain goes on to the genesis.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hsm_app.errors import ConfigError, LogError
from hsm_app.fleet.dsse import LIMIT, parse_envelope, sign_envelope
from hsm_app.fleet.role_keys import RoleKey, Signer
from hsm_app.fleet.strict_json import Node, load_document

STATEMENT = "statement.dsse.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
TYPE = "https://in-toto.io/Statement/v1"
DEPLOYMENT = "urn:hsm-vault:fleet-deployment:v1"
REPLACEMENT = "urn:hsm-vault:token-replacement:v1"
MEMBERS = {
    DEPLOYMENT: ("fleet", "ceremony", "assurance"),
    REPLACEMENT: ("fleet", "ceremony", "assurance", "previous_sha256"),
}
CHECK = "signatures"
MOST_FILES = 400
PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}")  # no "..", no root, no hidden file
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """`files` are the SHA-256 digests by path. `raw` are the bytes that the manifest names by their SHA-256.

    `previous` is the digest of the statement before this one, None where a fleet begins.
    """

    fleet: str
    ceremony: str
    assurance: str
    previous: bytes | None
    files: Mapping[str, bytes]
    raw: bytes = field(repr=False)

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.raw).digest()


def encode_statement(
    *, fleet: str, ceremony: str, assurance: str, files: Mapping[str, bytes], previous: bytes | None = None
) -> bytes:
    """Return the statement over these files (content by path). LogError when one has a name it may not have.

    `previous` is the digest of the statement before it (32 bytes), None where a fleet begins.
    """
    predicate = {"fleet": fleet, "ceremony": ceremony, "assurance": assurance}
    if previous is not None:
        predicate["previous_sha256"] = previous.hex()
    document = {
        "_type": TYPE,
        "subject": [
            {"name": path, "digest": {"sha256": hashlib.sha256(files[path]).hexdigest()}} for path in sorted(files)
        ],
        "predicateType": DEPLOYMENT if previous is None else REPLACEMENT,
        "predicate": predicate,
    }
    raw = json.dumps(document, separators=(",", ":")).encode()
    parse_statement(raw)
    return raw


def sign_statement(statement: bytes, signer: Signer) -> bytes:
    """Return the envelope, one line."""
    return sign_envelope(PAYLOAD_TYPE, statement, [signer]) + b"\n"


def parse_statement(raw: bytes) -> Statement:
    """Read a statement that nobody verified. LogError ("signatures") for anything else."""
    try:
        return _parse(raw)
    except ConfigError as error:
        raise LogError(CHECK, error.what, error.todo) from None


def read_envelope(raw: bytes) -> Statement:
    """Read the statement in an envelope, whoever signed it. LogError ("artifact", "signatures")."""
    return parse_statement(parse_envelope(raw.removesuffix(b"\n"), PAYLOAD_TYPE).payload)


def verify_envelope(raw: bytes, key: RoleKey, token: str) -> Statement:
    """Read the statement in an envelope that `key` signed. LogError ("artifact", "signatures") when it did not.

    `token` says for people whose `replica-identity` the key is.
    """
    envelope = parse_envelope(raw.removesuffix(b"\n"), PAYLOAD_TYPE)
    if not envelope.signers([key]):
        raise LogError(CHECK, f"the statement is not signed by the {token}'s replica-identity")
    return parse_statement(envelope.payload)


def _parse(raw: bytes) -> Statement:
    of = load_document(raw, "statement", LIMIT).members("_type", "subject", "predicateType", "predicate")
    of("_type").one_of({TYPE: TYPE})
    members = of("predicateType").one_of(MEMBERS)
    subjects = [_subject(node) for node in of("subject").items(1, MOST_FILES)]
    files = dict(subjects)
    if len(files) != len(subjects):
        of("subject").refuse("names a file twice")
    predicate = of("predicate").members(*members)
    return Statement(
        fleet=predicate("fleet").text(WORD),
        ceremony=predicate("ceremony").text(WORD),
        assurance=predicate("assurance").text(WORD),
        previous=predicate("previous_sha256").hexadecimal(32) if "previous_sha256" in members else None,
        files=files,
        raw=raw,
    )


def _subject(node: Node) -> tuple[str, bytes]:
    of = node.members("name", "digest")
    return of("name").text(PATH), of("digest").members("sha256")("sha256").hexadecimal(32)
