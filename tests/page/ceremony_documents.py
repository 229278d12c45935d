"""What a statement, a transcript and a testimony may just say, and may just not say any more."""

from __future__ import annotations

import base64
import json
from typing import Any

from hsm_app.ceremony.transcript import FIRST, line_hash
from hsm_app.evidence.participants import OBJECTS
from hsm_app.evidence.statement import PAYLOAD_TYPE
from tests.page.malformed import malformed, of_json, spelt, written

KIB = 1024
PATHS = ("a" * 300, "a/b/c/d", "a/b/c/d/e", "../a", "/a", ".a", "a/", "a b", "b")
BASE64 = ("YQ==", "YR==", "YQ", "YQ==\n", "Y Q==", "_w==")
OBJECTIONS = (
    "x", "a\nb", "a\tb", "a\r", "\u202e", "\u200b", "\ud800", "x" * 2000, "x" * 2001, "\U0001f511" * 2000, "", None, 1,
)  # fmt: skip
NAMES = ("\u00e9", "_", "-", "A-", "A)", "x" * 100, "x" * 101, "a\nb", "\u200b")
DAY = "2026-11-28T"
TIMES = ("2026-11-31T10:00:00Z", f"{DAY}24:00:00Z", f"{DAY}10:00:60Z", f"{DAY}09:59:59Z", f"{DAY}10:00:00+00:00")
NUMBERS = ("1e-7", "0.00001", "-0", "1e400", "NaN")


def enveloped(payload: bytes, **more: object) -> bytes:
    signature = {"keyid": "", "sig": base64.b64encode(b"nobody's").decode()}
    document = {"payloadType": PAYLOAD_TYPE, "payload": base64.b64encode(payload).decode(), "signatures": [signature]}
    return json.dumps({**document, **more}).encode() + b"\n"


def statement_cases(raw: bytes) -> dict[str, bytes]:
    """Return envelopes that nobody signed."""
    said = json.loads(raw)
    said["subject"] = [{"name": name, "digest": {"sha256": "00" * 32}} for name in ("a", "b")]
    many = [{"name": f"a{number}", "digest": {"sha256": "00" * 32}} for number in range(401)]
    edges = {
        ("subject", 0, "name"): PATHS,
        ("subject",): (many[:400], many),
        ("predicateType",): ("urn:hsm-vault:token-replacement:v1", "toString"),
        ("predicate", "fleet"): ("f" * 64, "f" * 65),
    }
    cases = {name: enveloped(json.dumps(one).encode()) for name, one in malformed(said, edges)}
    whole = json.loads(enveloped(raw))
    (signature,) = whole["signatures"]
    edges = {
        ("signatures",): ([signature] * 16, [signature] * 17),
        ("signatures", 0, "keyid"): ("k" * 200, "k" * 201),
        ("signatures", 0, "sig"): BASE64,
    }
    cases |= {f"envelope: {name}": json.dumps(one).encode() for name, one in malformed(whole, edges)}
    return cases | {f"envelope: {name}": one for name, one in spelt(enveloped(raw).strip(), 64 * KIB).items()}


def chained(*entries: Any) -> bytes:
    """Write lines that follow each other, in the one encoding, but for what the entries say themselves."""
    told, previous = b"", FIRST
    for number, entry in enumerate(entries):
        said = {"n": number, "previous": previous, **entry}
        line = json.dumps(said, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        told, previous = told + line, line_hash(line)
    return told


def transcript_cases() -> dict[str, bytes]:
    first = {"time": f"{DAY}10:00:00Z", "step": "", "kind": "begin", "body": {"a": [1, None, "\u00e9\u007f"]}}
    step = {**first, "step": "clock", "kind": "started", "body": {}}
    done, end = {**step, "kind": "done"}, {**first, "kind": "end", "body": {}}
    told = (first, step, done, end)
    orders = {
        "as it is": told,
        "no begin": told[1:],
        "begun twice": (first, *told),
        "done and never started": (first, done),
        "done twice": (first, step, done, done),
        "back to a step": (first, step, done, step),
        "after its end": (*told, step),
        "cut": told[:2],
        "another number": ({**first, "n": 1},),
        "before 1970": ({**first, "time": "1969-12-31T23:59:59Z"},),
        **{f"at {time}": (first, {**step, "time": time}) for time in TIMES},
    }
    bare = len(chained({**first, "body": {"a": ""}})) - 1
    orders |= {f"a line of {size} bytes": ({**first, "body": {"a": "x" * (size - bare)}},) for size in (65536, 65537)}
    cases = {name: chained(*entries) for name, entries in orders.items()}
    cases |= {f"line 2: {name}": chained(first, one, end) for name, one in malformed(step) if isinstance(one, dict)}
    return cases | _written_otherwise(chained(first))


def _written_otherwise(plain: bytes) -> dict[str, bytes]:
    """Return a transcript of one line, so that nothing hangs on how it is written."""
    cases = {
        "one line": plain,
        "no last line feed": plain[:-1],
        "an empty line": plain + b"\n",
        "nothing": b"",
        "carriage returns": plain.replace(b"\n", b"\r\n"),
        "a byte order mark": b"\xef\xbb\xbf" + plain,
        "not ASCII": plain.replace(b"\\u00e9", "\u00e9".encode()),
        "capital digits": plain.replace(b"\\u00e9", b"\\u00E9"),
        "a blank": plain.replace(b'":', b'": ', 1),
        "a member twice": plain.replace(b"{", b'{"a":1,', 1),
        "nested deeply": plain.replace(b"[1,", b"[" * 20000 + b"]" * 20000 + b",", 1),
    }
    return cases | {f"a number {one}": plain.replace(b"[1,", f"[{one},".encode(), 1) for one in NUMBERS}


def testimony_cases(raw: bytes) -> dict[str, bytes]:
    objecting = {**json.loads(raw), "says": OBJECTS}
    cases = {f"objects: {text!r:.40}": written({**objecting, "objection": text}) for text in OBJECTIONS}
    return cases | of_json(raw, 16 * KIB, {("name",): NAMES, ("role",): ("witness", "Witness")})
