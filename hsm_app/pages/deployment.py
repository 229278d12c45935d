"""The page about one deployment: how a fleet was made, with the evidence beside it.

| file | what it is |
|---|---|
| `index.html` and what it loads | the page; it reads the rest, and nothing from elsewhere |
| `page.json` | the checks' meaning and the forms that the page compares with, from this program's own tables |
| `evidence/...` | the evidence, byte for byte: `hsm-vault audit ADDRESS/evidence/` works on it |

The page has no list of the evidence: the signed statement names each file. It holds no verdict either; the reader's
browser comes to its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from hsm_app.evidence.checks import CHECKS
from hsm_app.evidence.dossier import BESIDE, DIRECTORIES, NEEDED
from hsm_app.evidence.participants import AGREES, OBJECTS, SSH_NAMESPACE, TESTIMONY_TYPE
from hsm_app.evidence.statement import DEPLOYMENT, PAYLOAD_TYPE, STATEMENT, TYPE
from hsm_app.evidence.token_record import expected_objects
from hsm_app.pages.web_files import Page, web_files

EVIDENCE, FORMS = "evidence", "page.json"


def deployment_files(evidence: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the site's files by path. StoreError when this program is not installed whole."""
    beside = {f"{EVIDENCE}/{path}": content for path, content in evidence.items()}
    return {**web_files(Page.DEPLOYMENT), FORMS: forms(), **beside}


def forms() -> bytes:
    """Return page.json: sentences and tables that the page takes from this program instead of having its own."""
    document = {
        "checks": [
            {"name": check.name, "says": check.says, "is_silent_on": check.is_silent_on} for check in CHECKS
        ],
        "objects": {"sealed": expected_objects(sealed=True), "maintained": expected_objects(sealed=False)},
        "testimony": {"payloadType": TESTIMONY_TYPE, "namespace": SSH_NAMESPACE, "agrees": AGREES, "objects": OBJECTS},
        "statement": {"file": STATEMENT, "payloadType": PAYLOAD_TYPE, "type": TYPE, "predicate": DEPLOYMENT},
        "needed": list(NEEDED),
        "directories": list(DIRECTORIES),
        "beside": sorted(BESIDE),
    }  # fmt: skip
    return json.dumps(document, indent=1).encode() + b"\n"
