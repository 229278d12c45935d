"""The golden files: each ceremony's script and dry run, of its example plan; genesis in both kinds of custody.

Run as a program to renew them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hsm_app.ceremony.catalogue import script_of
from hsm_app.ceremony.document import markdown
from hsm_app.ceremony.example import NAMES, example_plan
from hsm_app.ceremony.plan import parse_plan
from hsm_app.operator.ceremonies.dry_run import dry_run

GOLDEN = Path(__file__).parent / "golden"
MAINTAINED = example_plan("genesis").replace('custody = "sealed"', 'custody = "maintained"')
PLANS = {name: example_plan(name) for name in NAMES} | {"genesis-maintained": MAINTAINED}


def golden(name: str, scratch: Path) -> dict[str, bytes]:
    """Return the content of each golden file of a ceremony, by its name."""
    plan = PLANS[name].encode()
    transcript = scratch / f"{name}.jsonl"
    dry_run(plan, transcript)
    return {f"{name}.md": markdown(script_of(parse_plan(plan))), f"{name}.jsonl": transcript.read_bytes()}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each in PLANS:
        with tempfile.TemporaryDirectory() as directory:
            for path, content in golden(each, Path(directory)).items():
                (GOLDEN / path).write_bytes(content)
