"""Base64 as these formats want it: RFC 4648 section 4, padded, and one encoding of each value."""

from __future__ import annotations

import base64
import binascii

from hsm_app.errors import LogError


def encode64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode64(text: str, what: str) -> bytes:
    """Return the bytes. LogError for white space, other alphabets, missing padding and bits that stand for nothing."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        data = b""
    if encode64(data) != text:
        raise LogError("proof", f"{what} is not canonical base64")
    return data
