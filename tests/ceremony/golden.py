"""The golden files: each ceremony's script and dry run, of its example plan. Run as a program to renew them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.document import markdown
from hsm_app.ceremony.example import NAMES, example_plan
from hsm_app.ceremony.plan import parse_plan
from hsm_app.operator.ceremonies.dry_run import dry_run

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str, scratch: Path) -> dict[str, bytes]:
    """Return the content of each golden file of a ceremony, by its name."""
    plan = example_plan(name).encode()
    transcript = scratch / f"{name}.jsonl"
    dry_run(plan, transcript)
    return {f"{name}.md": markdown(script_of(parse_plan(plan))), f"{name}.jsonl": transcript.read_bytes()}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in NAMES:
        with tempfile.TemporaryDirectory() as directory:
            for path, content in golden(each, Path(directory)).items():
                (GOLDEN / path).write_bytes(content)
