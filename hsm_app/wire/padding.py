"""Sizes of sealed messages. The relay sees a size, and the size tells the kind of request and nothing else.

A plaintext is: kind (1), length of the body (2), body, zeros up to the size of the kind. With LARGEST the longest
encoding of a kind's fields (the sum of the limits in `wire.message_codec`, each with its msgpack head):

    request plaintext = 32 (response key) + 3 + LARGEST[kind]
    sealed request    = 2 (version, suite) + 65 (enc) + request plaintext + 16 (tag)
    answer plaintext  = 3 + the greatest LARGEST of all answers to that kind of request, a refusal among them
    sealed answer     = 32 (response nonce) + answer plaintext + 16 (tag)

So success and refusal of one request have one length, and so have two requests with tokens or names of other lengths.
"""

from __future__ import annotations

from hsm_app.errors import ProtocolError
from hsm_app.wire.message_codec import ANSWERS, LAYOUTS
from hsm_app.wire.messages import Kind

HEAD = 3  # kind, and the length of the body in two bytes
REQUEST_SIZE = {kind: HEAD + LAYOUTS[kind].largest for kind in ANSWERS}
ANSWER_SIZE = {kind: HEAD + max(LAYOUTS[answer].largest for answer in answers) for kind, answers in ANSWERS.items()}


def pad(kind: Kind, body: bytes, size: int) -> bytes:
    """Return kind, length, body and zeros: `size` bytes."""
    plain = bytes([kind]) + len(body).to_bytes(2, "big") + body
    return plain.ljust(size, b"\0")


def unpad(plain: bytes) -> tuple[int, bytes]:
    """Return kind and body. ProtocolError when the length lies or the padding is not zero."""
    end = HEAD + int.from_bytes(plain[1:HEAD], "big")
    if len(plain) < max(HEAD, end) or plain[end:].strip(b"\0"):
        raise ProtocolError("the padding of a message is damaged")
    return plain[0], plain[HEAD:end]
