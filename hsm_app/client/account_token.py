"""The account token on the client's side: where it comes from, and whether it is the one that was meant.

Only the fleet decides whether a token is good; here nothing is verified. But a token of another account reaches the
fleet as a request that contradicts itself, so that mistake is looked for before anything is sent. Its file is a secret,
as a PIN's is: whoever reads it can spend the account's guesses, and have its record destroyed.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from pathlib import Path

from hsm_app.client.private_directory import check_private
from hsm_app.errors import ConfigError
from hsm_app.fleet.account import TOKEN_LIMIT
from hsm_app.model import Subject

_NEXT = "Have the service of the account write a new token there, or correct the configuration"


def read_account_token(path: Path) -> str:
    """Return the account token in the file at `path`. ConfigError when there is none, or others may use the file."""
    try:
        with path.open("rb") as file:
            check_private(path, os.fstat(file.fileno()))
            raw = file.read(TOKEN_LIMIT + 2).strip()
    except OSError as error:
        raise ConfigError(f"token_file: cannot read {path}: {error.strerror}", _NEXT) from error
    except ConfigError as error:
        raise ConfigError(f"token_file: {error.what}", error.todo) from None
    if not 0 < len(raw) <= TOKEN_LIMIT or not raw.isascii() or b"\n" in raw:
        raise ConfigError(f"token_file: {path} holds no account token", _NEXT)
    return raw.decode()


def check_names(token: str, subject: Subject) -> None:
    """Raise ConfigError when the token says that it is for another tenant or account. One that says nothing passes."""
    claims = _claims(token)
    named = (claims.get("iss", subject.tenant), claims.get("sub", subject.account))
    if named != (subject.tenant, subject.account):
        raise ConfigError(
            f"the account token is for account {named[1]!a} of tenant {named[0]!a}, "
            f"and the configuration names {subject.account!a} of {subject.tenant!a}",
            _NEXT,
        )


def _claims(token: str) -> dict[str, object]:
    """Return the claims of a JWT as anyone can read them (RFC 7519 section 3); none when it is no JWT."""
    middle = token.split(".")[1:2]
    try:
        claims = json.loads(base64.urlsafe_b64decode("".join(middle) + "=="))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return claims if type(claims) is dict else {}
