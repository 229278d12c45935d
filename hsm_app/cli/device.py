"""Options that the commands on a device share, and how its configuration file is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from hsm_app.client.config import ClientSettings, read_client_settings
from hsm_app.client.device import Device
from hsm_app.client.state import DeviceState
from hsm_app.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])
VARIABLE = "HSM_VAULT_CONFIG"
USUAL = "hsm-vault/client.toml"


def config_option(function: F) -> F:
    """Add `--config`."""
    option = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=VARIABLE,
        show_envvar=True,
        default=None,
        help="The client's TOML file.  [default: ~/.config/hsm-vault/client.toml]",
    )
    return option(function)


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")(function)


def descriptor_option(name: str, what: str) -> Callable[[F], F]:
    """Add an option that names the file descriptor a secret comes from."""
    text = f"Read the {what} from this file descriptor (one line) instead of asking."
    return click.option(name, type=click.IntRange(0), metavar="N", help=text)


def settings_at(config: Path | None) -> ClientSettings:
    """Read the client's file: the one named, or the usual one. ConfigError when it is missing or wrong."""
    return read_client_settings(config or usual_config())


def usual_config() -> Path:
    """Return where the file lies when nobody says so (XDG base directory specification)."""
    base = os.environ.get("XDG_CONFIG_HOME")
    if base and os.path.isabs(base):
        return Path(base) / USUAL
    try:
        return Path.home() / ".config" / USUAL
    except RuntimeError as error:
        raise ConfigError("there is no home directory to look for a configuration in", "Give --config FILE") from error


def held_key(config: Path | None) -> bytes:
    """Return the key that this device holds. ConfigError when it holds none."""
    settings = settings_at(config)
    key = DeviceState(settings.state_directory).key()
    if key is None:
        raise ConfigError(
            f"{settings.state_directory} holds no backup key",
            "Register or recover first, make one with `hsm-vault backup key --new`, or give --key-fd",
        )
    return key


def device(config: Path | None) -> Device:
    """Open the configuration and refuse a manifest older than what this device has seen."""
    return Device(settings_at(config), _tell_once())


def _tell_once() -> Callable[[str], None]:
    told: set[str] = set()

    def say(text: str) -> None:
        if text not in told:
            told.add(text)
            click.echo(f"hsm-vault: {text}", err=True)

    return say
