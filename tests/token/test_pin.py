"""PINs: where they come from, what is refused, and that none shows."""

from __future__ import annotations

import os
import pickle
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_app.errors import ConfigError
from hsm_app.token.pin import Pin, pin_from_credential, pin_from_environment, pin_from_file, pin_from_prompt

PIN = "a PIN with blanks and ümlauts"


def pin_file(path: Path, data: bytes = PIN.encode() + b"\n", mode: int = 0o600) -> Path:
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_a_pin_file_gives_its_first_line(tmp_path: Path, mode: int, end: bytes) -> None:
    assert pin_from_file(pin_file(tmp_path / "pin", PIN.encode() + end, mode)).reveal() == PIN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o700, 0o601])
def test_a_pin_file_that_others_could_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=r"chmod 600"):
        pin_from_file(pin_file(tmp_path / "pin", mode=mode))


REFUSED = {
    "an empty file": (b"", "the PIN is empty"),
    "an empty line": (b"\n", "the PIN is empty"),
    "two lines": (b"one\ntwo\n", "more than one line"),
    "no text": (b"\xff\xfe\n", "not UTF-8"),
    "a control character": (b"a\x00b", "unprintable"),
    "more than a device takes": (b"x" * 256, "longer than 255 bytes"),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_a_pin_file_is_refused_that_holds(tmp_path: Path, data: bytes, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        pin_from_file(pin_file(tmp_path / "pin", data))


def test_a_pin_file_is_a_file_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        pin_from_file(tmp_path / "none")
    with pytest.raises(ConfigError, match="not a regular file"):
        pin_from_file(tmp_path)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(ConfigError, match="not a regular file"):
        pin_from_file(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(pin_file(tmp_path / "pin"))
    with pytest.raises(ConfigError, match="cannot read"):
        pin_from_file(tmp_path / "link")


def test_a_pin_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pin_file(tmp_path / "pin")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        pin_from_file(path)


def test_a_systemd_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin_file(tmp_path / "token-pin", mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert pin_from_credential("token-pin").reveal() == PIN
    for name in ("../token-pin", "", ".", "..", str(tmp_path / "token-pin")):
        with pytest.raises(ConfigError, match="is no name of a credential"):
            pin_from_credential(name)
    with pytest.raises(ConfigError, match="LoadCredential=other"):
        pin_from_credential("other")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY is not set"):
        pin_from_credential("token-pin")


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_PIN", PIN)
    assert pin_from_environment("VAULT_PIN").reveal() == PIN
    monkeypatch.setenv("VAULT_PIN", "")
    with pytest.raises(ConfigError, match="VAULT_PIN holds no PIN"):
        pin_from_environment("VAULT_PIN")


ASK = "from hsm_app.token.pin import pin_from_prompt; print('got', len(pin_from_prompt('PIN: ').reveal()))"


def test_the_prompt_does_not_echo() -> None:
    """On a real terminal: the PIN comes in, and nothing of it comes out again."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", ASK], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    while b"PIN: " not in seen:
        seen += os.read(ours, 1024)
    os.write(ours, b"secret-pin\n")
    while b"got" not in seen:
        seen += os.read(ours, 1024)
    assert child.wait(60) == 0
    os.close(ours)
    assert b"secret-pin" not in seen


def test_without_a_terminal_there_is_no_prompt() -> None:
    program = f"import hsm_app.errors\ntry:\n    {ASK.replace('; ', chr(10) + '    ')}\n"
    program += "except hsm_app.errors.ConfigError as error:\n    print(error)"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert "there is no terminal" in done.stdout


def test_a_pin_does_not_show() -> None:
    pin = Pin(PIN)
    assert PIN not in f"{pin!r} {pin} {[pin]}"
    with pytest.raises(TypeError):
        pickle.dumps(pin)
    with pytest.raises(AttributeError):
        pin.text = "x"  # type: ignore[attr-defined]
    assert callable(pin_from_prompt)
