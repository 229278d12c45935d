"""What the documents of a fleet and its tokens may just say, and may just not say any more."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hsm_app.evidence.software import Dependency, ModuleFile, Software, encode_software
from tests.fleet.example import point
from tests.page.malformed import Edges, of_json, written

OFF_THE_CURVE = "02" + "00" * 31 + "01"  # 1 - 3 + b is no square
DAY = 86400
MIB = 1024 * 1024
ZERO = "00" * 32
KEY = "\U0001f511"  # one sign, two units of UTF-16
ARGON2 = ((64, 128, 16), (65, 128, 16), (1, 127, 16), (1, 136, 17), (1, 2**21, 1), (1, 2**21 + 1, 1))
NO_TIMES = ("2027-02-30T00:00:00Z", "2027-02-28T24:00:00Z", "2027-02-28T23:59:60Z", "1969-12-31T23:59:59Z")
PATHS = (
    "hsm_app", "hsm_app/", "hsm_app/..", "hsm_app/.a", "hsm_app/a\\b", "hsm_app/\u00e9", "a/b.py", "hsm_app//a",
    "hsm_app/a b",
)  # fmt: skip


def fleet_edges(entry: Any) -> Edges:
    (group,), (tenant, *_) = entry["groups"], entry["tenants"]
    return {
        ("attempts", "maximum"): (10, 11),
        ("attempts", "waits_seconds"): ([0], [30 * DAY], [30 * DAY + 1], [1] * 16, [1] * 17),
        ("attempts", "replace_delay_seconds"): (90 * DAY, 90 * DAY + 1),
        ("attempts", "charges_per_hour"): (10**9, 10**9 + 1),
        ("attempts", "destructions_per_hour"): (10**9, 10**9 + 1),
        ("argon2",): tuple(dict(zip(("iterations", "memory_kib", "lanes"), costs, strict=True)) for costs in ARGON2),
        ("assurance", "key_custody"): ("elf-asserted", "none", "operator-signed", "vendor-rooted", "SELF_ASSERTED"),
        ("state",): ("recover-only", "revoked", "recover_only"),
        ("custody",): ("maintained", "Sealed"),
        ("kem_public",): (OFF_THE_CURVE, "04" + entry["kem_public"][2:], "ff" * 33, point(5).hex()),
        ("evidence_sha256",): (ZERO, "0" * 63, "AB" * 32),
        ("groups",): tuple(_groups(group)),
        ("groups", 0, "replicas"): tuple(_replicas(*group["replicas"][:2])),
        ("tenants",): ([tenant, {**tenant, "tenant": "other"}], *_tenants(tenant)),
    }


def _groups(group: Any) -> list[Any]:
    own = [
        {**one, "identity_public": point(2 * place).hex(), "link_public": point(2 * place + 1).hex()}
        for place, one in enumerate(group["replicas"], 20)
    ]
    return [
        [group, {**group, "group": 1}],
        [group, {"group": 1, "replicas": own}],
        [group, {"group": 2, "replicas": own}],
        [{**group, "group": 1}],
    ]


def _replicas(one: Any, two: Any) -> list[Any]:
    return [
        [one, two],
        [one],
        [one, {**two, "replica": one["replica"]}],
        [one, {**two, "link_public": one["identity_public"]}],
        [{**one, "replica": 255, "incarnation": 2**32 - 1}, two],
        [{**one, "replica": 256}, two],
        [{**one, "incarnation": 2**32}, two],
        [{**one, "link_public": OFF_THE_CURVE}, two],
    ]


def _tenants(tenant: Any) -> list[Any]:
    kid = tenant["keys"][0]["kid"]
    keys = (("k9", "EdDSA", "ff" * 32), (kid, "EdDSA", "ff" * 32), ("k9", "ES256", OFF_THE_CURVE),
            ("k9", "ES256", "ff" * 32), ("k9", "EdDSA", "ff" * 33), ("k9", "RS256", "ff" * 32))  # fmt: skip
    others = [dict(zip(("kid", "alg", "public_key"), key, strict=True)) for key in keys]
    return [[tenant, {"tenant": "other", "keys": [other]}] for other in others]


def manifest_edges(said: Any) -> Edges:
    fleet, begins, ends = said["fleets"][0], said["not_before"], said["not_after"]
    return {
        ("not_before",): (*NO_TIMES, ends, "2099-01-01T00:00:00Z"),
        ("issued_at",): (*NO_TIMES, ends, begins.replace("Z", "+00:00")),
        ("not_after",): (*NO_TIMES, begins, ends.replace("Z", ".0Z")),
        ("epoch",): (2**53 - 1, 2),
        ("previous_sha256",): (ZERO,),
        ("fleets",): ([fleet, fleet], [fleet, {**fleet, "fleet": "other"}]),
        **{("fleets", 0, *at): values for at, values in fleet_edges(fleet).items()},
    }


def token_edges(said: Any) -> Edges:
    one = said["objects"][0]
    names = ("CKA_id", "CKA_" + "A" * 40, "CKA_" + "A" * 41)
    values = (True, 1, None, "x" * 200, "x" * 201, KEY * 200, KEY * 201)
    attributes = [{}, *({name: ""} for name in names), *({"CKA_ID": value} for value in values)]
    return {
        ("public_keys", "replica-link"): ("ff" * 33, OFF_THE_CURVE, "FF" * 33),
        ("replica",): (255, 256),
        ("objects",): ([one] * 100, [one] * 101),
        ("objects", 0, "attributes"): tuple(attributes),
        ("token", "label"): ("x" * 200, "x" * 201, "\u00e9"),
    }


def example_software() -> bytes:
    packages = [Dependency(name=name, version="1.0", sha256=(bytes(32), b"\1" * 32)) for name in ("age", "noise-pq")]
    software = Software(
        version="1.0",
        commit="ab" * 20,
        wheel_sha256=bytes(32),
        files={"hsm_app/a.py": bytes(32), "hsm_app/b/c.py": b"\1" * 32},
        dependencies=tuple(packages),
        pkcs11_module=ModuleFile(file="libsofthsm2.so", sha256=bytes(32)),
    )
    return encode_software(software)


def software_cases() -> dict[str, bytes]:
    raw = example_software()
    said, cases = json.loads(raw), of_json(raw, MIB, {("version",): ("1" * 64, "1" * 65)})
    for path in PATHS:  # files_sha256 follows, or it would be all that is wrong
        digest = hashlib.sha256(f"{ZERO}  {path}\n".encode()).hexdigest()
        cases[f"a file {path!r}"] = written({**said, "files": {path: ZERO}, "files_sha256": digest})
    return cases
