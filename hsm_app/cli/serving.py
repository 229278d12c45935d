"""Run a long-lived program: logging, signals, the line that says it is ready, and an orderly end."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import Protocol

import click


class Program(Protocol):
    async def start(self) -> None:
        """Come up; raise a VaultError when that is impossible."""

    async def failure(self) -> None:
        """Wait for as long as all is well, and raise what made the program unable to go on."""

    async def close(self) -> None:
        """Finish what is under way and let go of everything."""


def serve_until_told(program: Program, ready: str, *, verbose: bool) -> None:
    """Start `program`, print `ready`, and close it on SIGINT, SIGTERM or when the program itself fails."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    asyncio.run(_serve(program, ready))


async def _serve(program: Program, ready: str) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    try:
        await program.start()
        click.echo(ready)
        await _first_of(told, program)
    finally:
        await program.close()


async def _first_of(told: asyncio.Event, program: Program) -> None:
    """Wait for a signal, or raise what made the program fail."""
    waiting = [asyncio.ensure_future(told.wait()), asyncio.ensure_future(program.failure())]
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in pending:
        each.cancel()
    for each in done:
        each.result()
