"""Make one SoftHSM token to develop against: its own configuration, directory and PINs. See README.md beside this file.

    dev_token.py --module /path/to/libsofthsm2.so DIRECTORY

A second run makes nothing and says the same again. PINs are drawn here and lie in files that only their owner can read.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from hsm_app.errors import VaultError
from hsm_app.operator.layout import SOFTHSM2_CONF, make_directory, write_new
from hsm_app.token.location import TokenLocation
from hsm_app.token.station import TokenStation

LABEL = "dev"
PIN_BYTES = 24


def make_token(module: Path, directory: Path) -> None:
    """Initialise the token in `directory`. ConfigError when the directory is not empty, TokenError by SoftHSM."""
    make_directory(directory)
    tokens = directory / "tokens"
    tokens.mkdir(mode=0o700)
    write_new(directory / "softhsm2.conf", SOFTHSM2_CONF.format(tokens=tokens).encode())
    so_pin, user_pin = secrets.token_urlsafe(PIN_BYTES), secrets.token_urlsafe(PIN_BYTES)
    with TokenStation(TokenLocation(module=module, label=LABEL, softhsm2_conf=directory / "softhsm2.conf")) as station:
        station.initialise(so_pin, user_pin)
    write_new(directory / "so-pin", so_pin.encode() + b"\n", 0o600)
    write_new(directory / "pin", user_pin.encode() + b"\n", 0o600)  # last: it marks the token as finished


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", type=Path, required=True, help="SoftHSM's PKCS#11 module")
    parser.add_argument("directory", type=Path, help="where the token lies; made if it does not exist")
    arguments = parser.parse_args()
    directory = arguments.directory.resolve()
    if not (directory / "pin").exists():
        try:
            make_token(arguments.module, directory)
        except VaultError as error:
            sys.exit(f"{parser.prog}: {error}")
    print(f"Token {LABEL!r} of {arguments.module}")
    print(f"  export SOFTHSM2_CONF={directory / 'softhsm2.conf'}")
    command = f"{Path(sys.executable).parent / 'hsm-vault'} token probe --module {arguments.module} --token {LABEL}"
    print(f"  {command} --pin-file {directory / 'pin'}")


if __name__ == "__main__":
    main()
