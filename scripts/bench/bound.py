"""The bound: CPU time of the token operations that one recovery cannot avoid, in bare python-pkcs11 calls.

Nothing of the vault's own code is measured here. The list below is fixed: it may grow when the protocol grows, and is
never shortened to make a ratio look better.
"""

from __future__ import annotations

import multiprocessing
import os
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pkcs11
from pkcs11 import KDF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.constants import DEFAULT
from pkcs11.util.ec import encode_named_curve_parameters

from hsm_app.token.location import TokenLocation
from hsm_app.token.station import TokenStation

OPERATIONS = {
    "recover-start": {
        "derive with fleet-kem: the HPKE shared secret of the request": 1,
        "HMAC with fleet-id: the record id": 1,
        "HMAC with fleet-seal: the key that opens the record": 1,
        "HMAC with fleet-seal: the key that seals the charged record": 1,
        "unwrap of the record's OPRF key under fleet-root, and its destruction": 1,
        "derive with the OPRF key: the evaluation and its sign": 2,
        "derive with fleet-opaque: the static Diffie-Hellman of 3DH and its sign": 2,
        "HMAC with fleet-seal: the key that seals the ticket": 1,
        "32 random bytes": 3,
    },
    "recover-finish": {
        "derive with fleet-kem: the HPKE shared secret of the request": 1,
        "HMAC with fleet-seal: the key that opens the ticket": 1,
        "HMAC with fleet-seal: the key that opens the record": 1,
        "HMAC with fleet-seal: the key that seals the record": 1,
        "32 random bytes": 2,
    },
}
DEFINITIONS = {
    "derive": "CKM_ECDH1_DERIVE, NULL KDF, to a readable generic secret; reading CKA_VALUE; destroying the object",
    "unwrap": "CKM_AES_KEY_WRAP_PAD to a sensitive, non-extractable EC session key that may derive; destroying it",
    "HMAC": "CKM_SHA256_HMAC over 48 bytes",
    "keys": "fleet keys are session objects, the root is a token object, as in a running replica",
}
MESSAGE = bytes(48)


LABEL = "bound"
INSIDE = {Attribute.PRIVATE: True, Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
READABLE = {Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshToken:
    """A token made for the benchmark, and the PIN that only this process knows."""

    module: Path
    configuration: Path
    pin: str = field(repr=False)


def measure(token: FreshToken, *, recoveries: int, runs: int) -> tuple[float, ...]:
    """Return CPU milliseconds for one recovery's operations, once for each run.

    Works in a process of its own: SoftHSM reads its configuration when the module is loaded.
    """
    return _in_own_process(_measure, token, recoveries, runs)


def costs(token: FreshToken, *, repeats: int) -> dict[str, float]:
    """Return CPU milliseconds of each single operation: where the bound comes from."""
    return _in_own_process(_costs, token, repeats)


def fresh_token(module: Path, directory: Path) -> FreshToken:
    """Make a token in `directory` that lives as long as the benchmark."""
    tokens = directory / "tokens"
    tokens.mkdir(parents=True)
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    token = FreshToken(module=module, configuration=configuration, pin=secrets.token_hex(16))
    with TokenStation(TokenLocation(module=module, label=LABEL, softhsm2_conf=configuration)) as station:
        station.initialise(secrets.token_hex(16), token.pin)
    return token


def _in_own_process(call: Callable[..., T], *arguments: object) -> T:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call, arguments)


def _measure(token: FreshToken, recoveries: int, runs: int) -> tuple[float, ...]:
    operations = Operations(token)
    operations.one_recovery()  # the first calls of a session pay for what all later ones find made
    return tuple(_cpu_ms_each(operations.one_recovery, recoveries) for _ in range(runs))


def _costs(token: FreshToken, repeats: int) -> dict[str, float]:
    operations = Operations(token)
    calls: dict[str, Callable[[], object]] = {
        "derive": lambda: operations.derive(operations.fleet_kem),
        "unwrap": lambda: operations.unwrap().destroy(),
        "hmac": lambda: operations.hmac(operations.fleet_seal),
        "random": operations.random,
    }
    return {name: statistics.median(_cpu_ms_each(call, repeats) for _ in range(3)) for name, call in calls.items()}


def _cpu_ms_each(call: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) * 1000 / times


class Operations:
    """The operations of `DEFINITIONS` on one token, each as few calls of python-pkcs11 as it takes."""

    def __init__(self, token: FreshToken) -> None:
        os.environ["SOFTHSM2_CONF"] = str(token.configuration)
        self.session = pkcs11.lib(str(token.module)).get_token(token_label=LABEL).open(rw=True, user_pin=token.pin)
        self.root: Any = self.session.generate_key(
            KeyType.AES,
            256,
            store=True,
            label="fleet-root",
            mechanism=Mechanism.AES_KEY_GEN,
            capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
            template=INSIDE,
        )
        self.point, self.blob = self._key_pair()
        self.fleet_kem, self.fleet_opaque = self.unwrap(), self.unwrap()
        self.fleet_id, self.fleet_seal = self._secret(), self._secret()

    def one_recovery(self) -> None:
        """Do all of `OPERATIONS`, in the order in which the messages need them."""
        self.derive(self.fleet_kem)
        self.hmac(self.fleet_id)
        self.hmac(self.fleet_seal)
        self.hmac(self.fleet_seal)
        record_key = self.unwrap()
        self.derive(record_key)
        self.derive(record_key)
        record_key.destroy()
        self.derive(self.fleet_opaque)
        self.derive(self.fleet_opaque)
        self.hmac(self.fleet_seal)
        for _ in range(3):
            self.random()

        self.derive(self.fleet_kem)
        for _ in range(3):
            self.hmac(self.fleet_seal)
        for _ in range(2):
            self.random()

    def derive(self, key: Any) -> bytes:
        shared = key.derive_key(
            KeyType.GENERIC_SECRET,
            256,
            capabilities=MechanismFlag(0),
            mechanism=Mechanism.ECDH1_DERIVE,
            mechanism_param=(KDF.NULL, None, self.point),
            template=READABLE,
        )
        value: bytes = shared[Attribute.VALUE]
        shared.destroy()
        return value

    def unwrap(self) -> Any:
        return self.root.unwrap_key(
            ObjectClass.PRIVATE_KEY,
            KeyType.EC,
            self.blob,
            mechanism=Mechanism.AES_KEY_WRAP_PAD,
            template={
                **INSIDE,
                Attribute.DERIVE: True,
                Attribute.ENCRYPT: DEFAULT,
                Attribute.WRAP: DEFAULT,
                Attribute.VERIFY: DEFAULT,
            },
        )

    def hmac(self, key: Any) -> bytes:
        mac: bytes = key.sign(MESSAGE, mechanism=Mechanism.SHA256_HMAC)
        return mac

    def random(self) -> bytes:
        drawn: bytes = self.session.generate_random(256)
        return drawn

    def _key_pair(self) -> tuple[bytes, bytes]:
        """Return the uncompressed point of a new key pair, and its private key wrapped under the root."""
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        public, private = self.session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
            mechanism=Mechanism.EC_KEY_PAIR_GEN,
            capabilities=MechanismFlag.DERIVE,
            private_template={**INSIDE, Attribute.EXTRACTABLE: True},
        )
        blob: bytes = self.root.wrap_key(private, mechanism=Mechanism.AES_KEY_WRAP_PAD)
        private.destroy()
        point: bytes = public[Attribute.EC_POINT]
        return point[2:], blob  # without the two bytes of DER around the point

    def _secret(self) -> Any:
        return self.session.generate_key(
            KeyType.GENERIC_SECRET,
            256,
            mechanism=Mechanism.GENERIC_SECRET_KEY_GEN,
            capabilities=MechanismFlag.SIGN,
            template=INSIDE,
        )
