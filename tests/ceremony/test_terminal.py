"""The room on a terminal of 80 by 24, in tmux: what people see, what stays behind, and how it ends.

Covered: the screen and its scroll-back after a share, wrong words, interrupts at each moment, a terminal that goes
away, terminals without colour, without a size, without UTF-8, too small, and none. Not covered: a terminal emulator
that keeps a log of its own, or does not know xterm's ED 3; nobody can clear those from inside.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.ceremony.pane import Pane, pane
from tests.patience import PATIENCE

PROGRAM = Path(__file__).with_name("terminal_program.py")
ROOT = PROGRAM.parents[2]
HOW = "type share, list or work"
RESUME = "What is done is written down. Go on with: hsm-vault ceremony resume DIRECTORY"
INTERRUPTED = f"somebody interrupted the ceremony. {RESUME}"
GONE = f"the terminal is gone. {RESUME}"


@contextmanager
def opened(directory: Path, size: tuple[int, int] = (80, 24), **environment: str) -> Iterator[Pane]:
    settings = {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "NO_COLOR": "", **environment}
    with pane(directory / "tmux", command(directory), settings, size) as shown:
        yield shown


def command(directory: Path) -> list[str]:
    return [sys.executable, str(PROGRAM), str(directory / "record")]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Pane]:
    with opened(tmp_path) as shown:
        shown.wait_for(HOW)
        yield shown


def record(directory: Path) -> str:
    """Return how the program ended, once it has."""
    end = time.monotonic() + PATIENCE
    while not (directory / "record").exists() and time.monotonic() < end:
        time.sleep(0.05)
    return (directory / "record").read_text()


def see_share(room: Pane) -> list[str]:
    """Go to the screen with Ada's share, and read its words as she does."""
    room.type("share")
    room.wait_for("Press Enter to see the words.")
    room.press("Enter")
    parts = room.wait_for("Press Enter when all are on paper.").split()
    return [parts[parts.index(f"{number}.") + 1] for number in range(1, 21)]


def keep_share(room: Pane) -> list[str]:
    """See the share, and go on to where it is typed back."""
    words = see_share(room)
    room.press("Enter")
    room.wait_for("TYPE THE SHARE OF Ada")
    return words


def left(room: Pane, words: list[str]) -> set[str]:
    """Return the words of a share that somebody could still read. None of Ada's is one that our own texts use."""
    return set(words) & set(room.everything().split())


def test_a_step_opens_with_its_head(room: Pane) -> None:
    lines = room.screen().splitlines()
    assert lines[0] == "genesis of fleet-1 (REHEARSAL)                         2026-11-24 12:00:00 UTC"
    assert "  STEP 3 of 12: The custodians' shares" in lines
    assert "Who acts: all. In the record: shares." in lines
    assert "Who is here: Ada (custodian), Ben (custodian), Zoë (administrator), Tom" in lines


@pytest.mark.parametrize("moment", ["step", "share", "typing", "list"])
def test_no_line_is_wider_than_the_terminal(room: Pane, moment: str) -> None:
    if moment == "share":
        see_share(room)
    if moment == "typing":
        keep_share(room)
    if moment == "list":
        room.type("list")
        room.wait_for("Press Enter to read on")
    joined = room.unbroken().splitlines()
    assert max(len(line.rstrip()) for line in joined) < 80


def test_a_share_is_a_table_on_one_screen(room: Pane) -> None:
    words = see_share(room)
    rows = [line for line in room.screen().splitlines() if ". " in line and line.split()[0].rstrip(".").isdigit()]
    assert [len(row.split()) for row in rows] == [8] * 5
    assert len(words) == 20
    assert "TYPE THE SHARE" not in room.screen()


def test_only_its_custodian_has_asked_for_a_share_before_it_is_shown(room: Pane) -> None:
    room.type("share")
    screen = room.wait_for("Press Enter to see the words.")
    assert "Only Ada looks at this screen from here on." in screen
    assert "20." not in screen


def test_a_share_is_gone_from_screen_and_scroll_back_when_it_is_on_paper(room: Pane) -> None:
    words = keep_share(room)
    assert left(room, words) == set()
    assert "STEP 3" not in room.everything()


def test_a_share_is_gone_after_it_was_typed(room: Pane) -> None:
    words = keep_share(room)
    for word in words[:10]:
        room.type(word)
    room.type(" ".join(word[:4].upper() for word in words[10:]))
    room.wait_for("Ada's share is right.")
    assert left(room, words) == set()


def test_a_word_that_is_none_is_told_at_once_and_typed_again(room: Pane) -> None:
    words = keep_share(room)
    room.type(" ".join([*words[:6], "acedemic", *words[7:]]))
    room.wait_for("word 7 is not in the list; near it are: academic, epidemic, ceramic. Go on from there.")
    room.wait_for("from word 7:")
    room.type(" ".join(words[6:]))
    room.wait_for("Ada's share is right.")
    assert "acedemic" not in room.everything()


def test_a_wrong_word_is_named_and_the_share_asked_for_again(room: Pane) -> None:
    words = keep_share(room)
    wrong = "academic" if words[13] != "academic" else "zero"
    room.type(" ".join([*words[:13], wrong, *words[14:]]))
    room.wait_for("word 14 is another one on the sheet. Look at the sheet and type it again")
    room.wait_for("> Type anything to go on")  # what is typed before a question is dropped
    assert left(room, words) <= {wrong}
    room.type("go on")
    room.wait_for("from word 1:")
    room.type(" ".join(words))
    room.wait_for("Ada's share is right.")


def test_words_of_a_share_at_a_question_are_no_answer_and_leave_nothing(room: Pane, tmp_path: Path) -> None:
    """Whoever typed a line twice has one left when the share is complete, and the next question is for the record."""
    words = keep_share(room)
    room.keep(tmp_path / "shown")

    def asked(times: int) -> bool:
        return (tmp_path / "shown").read_text().count("> Type anything to go on ") == times

    room.type(" ".join([*words[:16], *words[12:16]]))
    room.wait_for("> Type anything to go on")
    room.type(" ".join(words[16:]))
    room.wait_for("Answer in other words. > Type anything to go on")
    assert left(room, words) == set()
    room.type(" ".join(word[:4] for word in words[18:]))
    room.wait_until(lambda: asked(3), "the question once more")  # it looks as before, and drops what is typed too soon
    assert left(room, [word[:4] for word in words[18:]]) == set()
    room.type("it was line 5 of my sheet")
    room.wait_for("from word 1:")


def test_an_empty_line_ends_a_share_early(room: Pane) -> None:
    words = keep_share(room)
    room.type(" ".join(words[:12]))
    room.wait_for("from word 13:")
    room.press("Enter")
    room.wait_for("a share has 20 words, and 12 were typed")


@pytest.mark.parametrize("key", ["C-c", "C-\\"], ids=["Ctrl-C", "Ctrl-Backslash"])
@pytest.mark.parametrize("moment", ["question", "share", "typing"])
def test_an_interrupt_closes_the_room_and_leaves_no_share(room: Pane, tmp_path: Path, key: str, moment: str) -> None:
    words = [] if moment == "question" else see_share(room) if moment == "share" else keep_share(room)
    if moment == "typing":
        room.type(" ".join(words[:8]))
        room.wait_for("from word 9:")
    room.press(key)
    room.wait_for("somebody interrupted the ceremony. What is done is written down. Go on with:")
    assert record(tmp_path) == f"RoomClosed: {INTERRUPTED}"
    assert left(room, words) == set()


def test_an_interrupted_program_says_so_in_its_exit_code(room: Pane) -> None:
    room.press("C-c")
    assert room.exit_code() == 5


def test_the_end_of_input_closes_the_room(room: Pane, tmp_path: Path) -> None:
    room.press("C-d")
    assert record(tmp_path) == f"RoomClosed: {GONE}"


@pytest.mark.parametrize("moment", ["question", "share"])
def test_a_terminal_that_goes_away_closes_the_room(room: Pane, tmp_path: Path, moment: str) -> None:
    if moment == "share":
        see_share(room)
    room.close()
    assert record(tmp_path) == f"RoomClosed: {GONE}"


def test_a_ceremony_is_not_put_to_sleep_over_a_share(room: Pane) -> None:
    see_share(room)
    room.press("C-z")
    room.press("Enter")
    room.wait_for("TYPE THE SHARE OF Ada")


def test_work_is_not_torn_by_an_interrupt(room: Pane, tmp_path: Path) -> None:
    room.type("work")
    room.wait_for("the token makes a key ...")
    room.press("C-c")
    room.wait_for("The ceremony pauses at the next question. Interrupt again to stop at once.")
    (tmp_path / "go").touch()
    assert record(tmp_path) == f"RoomClosed: {INTERRUPTED}"
    assert (tmp_path / "worked").exists()
    assert "Has it?" not in room.screen()


def test_a_second_interrupt_stops_work_at_once(room: Pane, tmp_path: Path) -> None:
    room.type("work")
    room.wait_for("the token makes a key ...")
    room.press("C-c")
    room.wait_for("The ceremony pauses at the next question.")
    room.press("C-c")
    room.wait_for("KeyboardInterrupt")
    assert not (tmp_path / "worked").exists()


def test_a_terminal_that_goes_away_lets_work_end(room: Pane, tmp_path: Path) -> None:
    room.type("work")
    room.wait_for("the token makes a key ...")
    room.close()
    (tmp_path / "go").touch()
    assert record(tmp_path) == f"RoomClosed: {GONE}"
    assert (tmp_path / "worked").exists()


def test_an_answer_before_its_question_is_none(room: Pane, tmp_path: Path) -> None:
    room.type("work")
    room.wait_for("the token makes a key ...")
    room.type("too early")
    room.wait_for("too early")
    (tmp_path / "go").touch()
    room.wait_for("> Has it?")
    room.type("yes")
    room.wait_for("somebody says: yes")
    assert record(tmp_path) == "ended"


def test_a_long_list_waits_to_be_read(room: Pane) -> None:
    """Nothing may scroll past: on a serial console it would be lost."""
    room.type("list")
    seen: set[str] = set()
    for page in range(1, 100):
        screen = room.wait_until(partial(has_page, room, page), f"page {page}")
        if "Is the list complete?" in screen:
            break
        seen |= set(screen.splitlines())
        room.press("Enter")
    seen |= set(room.screen().splitlines())
    assert {f"object {number} ?[31m?of?2J a token" for number in range(1, 41)} <= seen


def texts(room: Pane) -> list[str]:
    """Go through fifteen paragraphs, and return what stood on the screen each time that it waited."""
    room.type("texts")
    screens: list[str] = []
    while not screens or "Is that all?" not in screens[-1]:
        page = len(screens) + 1
        screens.append(room.wait_until(partial(has_texts, room, page), f"page {page}"))
        room.press("Enter")
    return screens


def has_texts(room: Pane, page: int) -> bool:
    shown = room.everything()
    return "Is that all?" in shown or shown.count("read on.") == page


def test_a_paragraph_is_not_torn_apart(room: Pane) -> None:
    screens = texts(room)
    assert len(screens) >= 3
    for screen in screens:
        last = re.findall(r"begin(\d+)", screen)[-1]
        assert f"end{last}" in screen


def test_a_window_that_is_made_smaller_still_waits_for_its_readers(room: Pane) -> None:
    room.tmux("resize-window", "-t", "pane", "-x", "80", "-y", "12")
    room.wait_until(lambda: len(room.screen().splitlines()) == 12, "a smaller window")
    seen = {word for screen in texts(room) for word in re.findall(r"begin\d+|end\d+", screen)}
    assert seen == {f"{which}{number}" for which in ("begin", "end") for number in range(1, 16)}


def test_nothing_is_cleared_before_it_could_be_read(room: Pane) -> None:
    room.type("say")
    assert "Nobody is asked about this." in room.wait_for("-- Press Enter to read on.")
    room.press("Enter")
    assert "Nobody is asked" not in room.wait_for("STEP 4 of 12")
    room.wait_for("-- Press Enter to read on.")
    room.press("Enter")
    room.wait_for("Press Enter to see the words.")


def has_page(room: Pane, page: int) -> bool:
    shown = room.everything()
    return "Is the list complete?" in shown or shown.count("read on.") == page


STYLES = {
    "xterm-256color": ({}, True, True),
    "vt100": ({"TERM": "vt100"}, True, False),
    "vt220": ({"TERM": "vt220"}, True, False),
    "NO_COLOR": ({"NO_COLOR": "1"}, True, False),
    "dumb": ({"TERM": "dumb"}, False, False),
}


@pytest.mark.parametrize(("environment", "is_bold", "has_colour"), STYLES.values(), ids=STYLES)
def test_colour_is_for_those_who_have_it(
    tmp_path: Path, environment: dict[str, str], is_bold: bool, has_colour: bool
) -> None:
    with opened(tmp_path, **environment) as room:
        room.wait_for(HOW)
        styled = room.styled()
        assert ("\x1b[1m" in styled) is is_bold
        assert ("\x1b[32m" in styled) is has_colour
        assert "STEP 3 of 12: The custodians' shares" in room.screen()


def test_a_share_on_a_vt100_is_gone_too(tmp_path: Path) -> None:
    with opened(tmp_path, TERM="vt100", NO_COLOR="1") as room:
        room.wait_for(HOW)
        words = keep_share(room)
        assert left(room, words) == set()


def test_a_terminal_without_utf_8_shows_a_question_mark(tmp_path: Path) -> None:
    with opened(tmp_path, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0") as room:
        assert "Zo? (administrator)" in room.wait_for(HOW)


@pytest.mark.parametrize("size", [(79, 24), (80, 23)])
def test_a_terminal_that_is_too_small_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with opened(tmp_path, size) as room:
        assert room.exit_code() == 3
        assert record(tmp_path).endswith("Make it 80 by 24 or larger")


def test_without_a_terminal_there_is_no_room(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path), stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 3
    assert b"no terminal" in done.stderr


def test_a_line_that_does_not_tell_its_size_is_80_by_24_and_may_send_noise(tmp_path: Path) -> None:
    """As a serial console does."""
    near, far = pty.openpty()
    with subprocess.Popen(
        command(tmp_path), stdin=far, stdout=far, stderr=far, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as program:
        os.close(far)
        read_until(near, HOW)
        os.write(near, b"\xff\xfe\x80 noise\n")
        program.wait(PATIENCE)
        os.close(near)
    assert record(tmp_path) == "ended"


def read_until(line: int, text: str) -> None:
    shown = b""
    while text.encode() not in shown:
        shown += os.read(line, 4096)
