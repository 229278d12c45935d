"""A step, a question and a share on a real terminal: `terminal_program.py RECORD`, for the tests of `TerminalRoom`.

How it ended is written to the file RECORD, for tests that take the terminal away.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hsm_app.ceremony.custody import recognise
from hsm_app.ceremony.room import RoomClosed
from hsm_app.errors import ConfigError
from hsm_app.operator.ceremonies.terminal import TerminalRoom
from tests.ceremony.custody_example import example

NOON = 1_795_521_600  # 2026-11-24T12:00:00Z
PEOPLE = ["Ada (custodian)", "Ben (custodian)", "Zoë (administrator)", "Tom (witness)"]


def main(record: Path) -> int:
    try:
        play(TerminalRoom("genesis of fleet-1 (REHEARSAL)", PEOPLE, lambda: NOON), record)
    except (RoomClosed, ConfigError) as error:
        write_whole(record, f"{type(error).__name__}: {error}")
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    write_whole(record, "ended")
    return 0


def write_whole(record: Path, text: str) -> None:
    """Write it in one step: a test looks at it as soon as it is there."""
    record.with_name("writing").write_text(text)
    record.with_name("writing").rename(record)


def play(room: TerminalRoom, record: Path) -> None:
    room.open_step(3, 12, "shares", "The custodians' shares", "all")
    room.say("One secret is split, 2 of 2. " * 12)
    answer = room.ask("Somebody says how it goes on: type share, list or work")
    if answer == "list":
        for number in range(1, 41):
            room.say(f"object {number} \x1b[31m\x07of\x9b2J a token")
        room.ask("Is the list complete?")
    elif answer == "texts":
        for number in range(1, 16):
            room.say(f"begin{number} {'and so on ' * 20}end{number}")
        room.ask("Is that all?")
    elif answer == "work":
        work(room, record)
    elif answer == "say":
        room.say("Nobody is asked about this.")
        room.open_step(4, 12, "next", "The next step", "all")
        share(room)
    elif answer == "share":
        share(room)


def work(room: TerminalRoom, record: Path) -> None:
    """Be busy until the file `go` is there, as with a token."""
    room.wait("the token makes a key")
    done = 0
    while not (record.parent / "go").exists():
        done += 1
    record.with_name("worked").write_text("whole")
    room.say(f"the token has made a key, and somebody says: {room.ask('Has it?')}")


def share(room: TerminalRoom) -> None:
    custody, shares = example()
    room.show_share("Ada", shares[0].words)
    while True:
        try:
            recognise(custody, "Ada", room.ask_share("Ada"))
        except ConfigError as error:
            room.say(str(error))
            room.ask("Type anything to go on")
        else:
            room.say("Ada's share is right.")
            return


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
