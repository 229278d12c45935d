"""The view for plexi's tools: its signed bytes, field by field, and its paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsm_app.auditor.plexi import PlexiView, signed_message
from hsm_app.auditor.site import serving
from hsm_app.fleet.role_keys import KeyAlgorithm, RoleKey
from hsm_app.key_files import read_key_file
from hsm_app.net.address import Address
from hsm_app.net.http import HttpServer, request
from tests.auditor.world import NAMESPACE, following, manifest, world

DIGEST = bytes(range(32))


def test_the_signed_bytes_are_protobuf_fields_in_order() -> None:
    """proto2: tag = number << 3 | type; varints little-endian in groups of seven bits."""
    name = "sixteen.example!"
    message = signed_message(name, 1_717_171_717_000, 5, DIGEST)
    assert len(message) == 65
    assert message == (
        bytes.fromhex("0801")
        + bytes.fromhex("1210") + name.encode()
        + bytes.fromhex("188887a4fbfc31")
        + bytes.fromhex("22020805")
        + bytes.fromhex("2a20") + DIGEST
    )  # fmt: skip


@pytest.mark.parametrize("epoch", [127, 128, 16_383, 16_384, 2**53])
def test_numbers_of_any_size_are_varints(epoch: int) -> None:
    message = signed_message("n", 1, epoch, DIGEST)
    inner = message[message.index(b"\x22") + 2 : -34]
    value = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(inner[1:]))
    assert (inner[0], value, inner[-1] < 0x80) == (8, epoch, True)


def test_every_epoch_is_shown_with_a_signature_that_holds(tmp_path: Path) -> None:
    with world(tmp_path) as audited:
        raw = manifest()
        audited.whole(raw)
        audited.whole(following(raw))
        view = PlexiView(audited.auditor, read_key_file(audited.auditor / "keys" / "plexi.pem"))
        server = HttpServer(Address(host="127.0.0.1", port=0), serving(audited.auditor / "public", view))
        url, name = f"http://127.0.0.1:{server.port}", NAMESPACE.replace("/", "%2F")
        info = json.loads(request("GET", f"{url}/info").body)
        audits = [json.loads(request("GET", f"{url}/namespaces/{name}/audits/{epoch}").body) for epoch in (1, 2)]
        last = json.loads(request("GET", f"{url}/namespaces/{name}/last-verified-epoch").body)
        one = json.loads(request("GET", f"{url}/namespaces/{name}").body)
        missing = [request("GET", url + path).status for path in
                   (f"/namespaces/{name}/audits/3", "/namespaces/x", "/namespaces/..%2F..", "/infos",
                    f"/namespaces/{name}/audits/%2E%2E", f"/namespaces/{name}/audits/{'9' * 300}",
                    f"/namespaces/{name}/audits/{'9' * 5000}")]  # fmt: skip
        checkpoint = request("GET", f"{url}/checkpoint").status
        server.close()
    key = RoleKey(KeyAlgorithm.ED25519, bytes.fromhex(info["keys"][0]["public_key"]))
    for epoch, audit in enumerate(audits, 1):
        message = signed_message(NAMESPACE, audit["timestamp"], epoch, bytes.fromhex(audit["digest"]))
        assert audit["serialized_message"] == message.hex()
        assert key.holds(message, bytes.fromhex(audit["signature"]))
        assert audit["key_id"] == key.public[-1]
    assert last == audits[1]
    assert one == {"name": NAMESPACE, "root": f"1/{audits[0]['digest']}", "status": "Online", "signature_version": 1}
    assert (missing, checkpoint) == ([404] * 7, 200)
