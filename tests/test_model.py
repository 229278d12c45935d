"""What the model's target makes of the verifier's words: a search that was cut short must not count as a proof."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SAID = """
(Spin Version 6.5.2 -- 6 December 2019)
State-vector 136 byte, depth reached 251, errors: {errors}
  8317647 states, stored
 1919.300\ttotal actual memory usage
"""
BAD_ENDS = {
    "the path was too long": "error: max search depth too small\n",
    "the memory was too small": "pan: out of memory\n",
}


@pytest.fixture(scope="module")
def model() -> ModuleType:
    path = Path(__file__).parent.parent / "scripts" / "model" / "__main__.py"
    spec = importlib.util.spec_from_file_location("model_target", path)
    assert spec
    assert spec.loader
    module = sys.modules["model_target"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_whole_search_without_an_error_is_well(model: ModuleType) -> None:
    result = model.read(model.WHOLE[0], SAID.format(errors=0), 1.0)
    assert (result.states, result.depth, result.memory, result.is_well) == (8_317_647, 251, 1919.3, True)


@pytest.mark.parametrize("end", BAD_ENDS.values(), ids=BAD_ENDS.keys())
def test_a_search_that_was_cut_short_is_not(model: ModuleType, end: str) -> None:
    assert not model.read(model.WHOLE[0], end + SAID.format(errors=0), 1.0).is_well


def test_a_bug_has_to_be_found_and_the_model_must_have_none(model: ModuleType) -> None:
    violated = "pan:1: assertion violated (i<=1) (at depth 373)" + SAID.format(errors=1)
    assert model.read(model.BUGS[0], violated, 1.0).is_well
    assert not model.read(model.BUGS[0], SAID.format(errors=0), 1.0).is_well
    assert not model.read(model.WHOLE[0], violated, 1.0).is_well


def test_words_of_another_kind_are_no_result(model: ModuleType) -> None:
    with pytest.raises(model.ModelError):
        model.read(model.WHOLE[0], "pan: cannot open", 1.0)
