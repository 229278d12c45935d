"""RFC 9497 appendix A.3.1 (P256-SHA256, mode OPRF), the server's multiplication on a key in SoftHSM.

The file's other modes, VOPRF and POPRF, are not used by OPAQUE and are not implemented; only their derivation of keys
differs by a byte of context, so nothing of them is tested.
"""

from __future__ import annotations

from typing import Any

import pytest
from pkcs11 import Session

from hsm_app.opaque import oprf
from tests.opaque.token_server import TokenKey
from tests.opaque.vectors import load, octets

(SUITE,) = (suite for suite in load("oprf-p256.json")["suites"] if suite["mode"] == 0)
SCALAR = int(SUITE["skSm"], 16)
CASES: list[dict[str, Any]] = SUITE["vectors"]


def test_all_vectors_are_there() -> None:
    assert [case["Batch"] for case in CASES] == [1, 1]
    assert bytes.fromhex(SUITE["groupDST"]) == oprf.HASH_TO_GROUP


def test_derive_key_pair() -> None:
    assert oprf.derive_key(bytes.fromhex(SUITE["seed"]), bytes.fromhex(SUITE["keyInfo"])) == SCALAR


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["Input"][:8])
def test_blind_evaluate_finalize(session: Session, case: dict[str, Any]) -> None:
    known = octets({name: value for name, value in case.items() if name != "Batch"})
    state = oprf.blind(known["Input"], int(case["Blind"], 16))
    evaluated = TokenKey(session, SCALAR).times(state.element)
    assert state.element == known["BlindedElement"]
    assert evaluated == known["EvaluationElement"]
    assert oprf.finalize(state, evaluated) == known["Output"]
