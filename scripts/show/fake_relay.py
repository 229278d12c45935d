"""A relay that answers every request with one bundle, as an operator who cheats would have it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hsm_app.wire.envelopes import REQUEST_LIMIT, Outcome, Response, decode_request, encode_response
from hsm_app.wire.frames import FrameDecoder, encode_frame


@contextmanager
def relay_that_hands_out(bundle: bytes) -> Iterator[str]:
    """Serve until the block ends; yields the address."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(server, bundle), daemon=True).start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.close()


def _accept(server: socket.socket, bundle: bytes) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(client, bundle), daemon=True).start()


def _answer(client: socket.socket, bundle: bytes) -> None:
    decoder = FrameDecoder(REQUEST_LIMIT)
    with client:
        while data := client.recv(65_536):
            for frame in decoder.feed(data):
                response = Response(id=decode_request(frame).id, outcome=Outcome.REFUSED, sealed=b"", bundle=bundle)
                client.sendall(encode_frame(encode_response(response)))
