"""Run commands inside the test's process, each secret through a descriptor of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from hsm_app.cli.main import cli


def run(*words: str | Path, **secrets: str) -> Result:
    """Run `hsm-vault` with `words`; `code_fd="..."` gives the option --code-fd a descriptor that yields the text."""
    arguments, descriptors = [str(word) for word in words], []
    for option, secret in secrets.items():
        read_end, write_end = os.pipe()
        os.write(write_end, secret.encode() + b"\n")
        os.close(write_end)
        descriptors.append(read_end)
        arguments += [f"--{option.replace('_', '-')}", str(read_end)]
    try:
        return CliRunner().invoke(cli, arguments, standalone_mode=False)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def well(*words: str | Path, **secrets: str) -> str:
    """Run a command that has to succeed and return its standard output; its error comes out as it is."""
    result = run(*words, **secrets)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def told(*words: str | Path, **secrets: str) -> dict[str, Any]:
    """Run a command with --json and return its object."""
    answer: dict[str, Any] = json.loads(well(*words, "--json", **secrets))
    return answer


def run_without_privileges(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process for which rights hold, also where the tests run as root."""
    ordinary = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    return subprocess.run([*ordinary, sys.executable, *words], capture_output=True, text=True, check=False)
