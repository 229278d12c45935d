"""One harness under atheris, in a process of its own: libFuzzer ends it, with an exit code other than 0 for a finding.

python -m tests.fuzz.guided HARNESS SECONDS SEED
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

BUILD = Path("build/fuzz")
INPUT_LIMIT = 20_000  # bytes: more than any limit that the harnesses' parsers have, the manifest's included
SLOW = 10  # seconds for one input
MEMORY = 2048  # MiB

with atheris.instrument_imports(include=["hsm_app"]):
    from tests.fuzz.harnesses import HARNESSES


def fuzz(name: str, seconds: int, seed: int) -> None:
    """Fuzz from the harness' examples and what earlier runs left in its corpus."""
    corpus = BUILD / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, example in enumerate(HARNESSES[name].examples):
        (corpus / f"example-{number}").write_bytes(example)
    options = {
        "max_total_time": seconds,
        "seed": seed,
        "max_len": INPUT_LIMIT,
        "timeout": SLOW,
        "rss_limit_mb": MEMORY,
        "artifact_prefix": f"{BUILD / name}/",
        "print_final_stats": 1,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    atheris.Setup([name, *flags, str(corpus)], HARNESSES[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    fuzz(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
