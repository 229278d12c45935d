"""The page about one deployment: how a fleet was made, with the evidence beside it.

| file | what it is |
|---|---|
| `index.html` and what it loads | the page; it reads the rest, and nothing from elsewhere |
| `page.json` | the checks' meaning and the forms that the page compares with, from this program's own tables |
| `evidence/...` | the evidence, byte for byte: `hsm-vault audit ADDRESS/evidence/` works on it |
| `before/SHA256/...` | where a token was replaced, the evidence before it, by the SHA-256 of its statement; all of it |

The page has no list of the evidence: the signed statement names each file, and the statement before it, and so the
place of that evidence, which stays the same when more tokens are replaced. It holds no verdict either; the reader's
browser comes to its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from hsm_app.errors import LogError
from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.dossier import BESIDE, DIRECTORIES, NEEDED
from hsm_app.evidence.participants import AGREES, OBJECTS, SSH_NAMESPACE, TESTIMONY_TYPE
from hsm_app.evidence.statement import MEMBERS, PAYLOAD_TYPE, STATEMENT, TYPE, read_envelope
from hsm_app.evidence.token_record import expected_objects
from hsm_app.pages.web_files import Page, web_files

EVIDENCE, BEFORE, FORMS = "evidence", "before", "page.json"


def deployment_files(evidence: Mapping[str, bytes], *before: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the site's files by path. `before` is the evidence before it, newest first, back to the genesis.

    LogError when a statement does not name one before it, StoreError when this program is not installed whole.
    """
    chain = (evidence, *before)
    placed = {
        f"{place}/{path}": content
        for place, files in zip(_places(chain), chain, strict=True)
        for path, content in files.items()
    }
    return {**web_files(Page.DEPLOYMENT), FORMS: forms(), **placed}


def _places(chain: Sequence[Mapping[str, bytes]]) -> Iterator[str]:
    """Yield where a reader looks for each: for all but the newest that is what the statement after it says."""
    yield EVIDENCE
    for newer, _ in pairwise(chain):
        previous = read_envelope(newer[STATEMENT]).previous
        if previous is None:
            raise LogError("signatures", f"{STATEMENT} names none before it: a fleet begins with this evidence")
        yield f"{BEFORE}/{previous.hex()}"


def forms() -> bytes:
    """Return page.json: sentences and tables that the page takes from this program instead of having its own."""
    document = {
        "checks": [
            {"name": check.name, "says": check.says, "is_silent_on": check.is_silent_on} for check in CHECKS
        ],
        "objects": {"sealed": expected_objects(sealed=True), "maintained": expected_objects(sealed=False)},
        "testimony": {"payloadType": TESTIMONY_TYPE, "namespace": SSH_NAMESPACE, "agrees": AGREES, "objects": OBJECTS},
        "statement": {"file": STATEMENT, "payloadType": PAYLOAD_TYPE, "type": TYPE, "predicates": MEMBERS},
        "needed": list(NEEDED),
        "directories": list(DIRECTORIES),
        "beside": sorted(BESIDE),
    }  # fmt: skip
    return json.dumps(document, indent=1).encode() + b"\n"
