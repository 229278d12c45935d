"""What a token can do: each ability that the vault needs, performed with a known answer, refusals included.

A mechanism list says what a vendor meant to offer. So nothing is looked up here: keys are made, used, compared with
software, and destroyed. Every object is a session object, so that a probe leaves nothing on the token; but for one
data object, which is destroyed again. An ability that is missing has no substitute, and the verdict is no.

`needed` says what a replica needs while it runs or in a ceremony. The other is for keys of people: where a token lacks
it, they use ECDSA.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pkcs11 import Session
from pkcs11 import exceptions as ck

from hsm_app.errors import VaultError
from hsm_app.token import probe_keys, probe_root
from hsm_app.token.device import code_of
from hsm_app.token.probe_bench import Bench, MismatchError

Check = Callable[[Bench], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """One row of the table: what it is, what it is for, and the function that performs it."""

    name: str
    purpose: str
    check: Check
    needed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the token did: `detail` is the answer that was compared, or the device's own error."""

    ability: str
    purpose: str
    needed: bool
    ok: bool
    detail: str


ABILITIES = (
    Ability(name="random bytes", purpose="nonces", check=probe_keys.random),
    Ability(name="make an EC P-256 key that nobody can read", purpose="every EC key", check=probe_keys.make_ec),
    Ability(
        name="ECDH with NULL KDF to a readable value",
        purpose="point multiplication (OPAQUE, HPKE)",
        check=probe_keys.derive_readable,
    ),
    Ability(
        name="multiply a point (two derives)",
        purpose="OPRF evaluation, its corners included",
        check=probe_keys.multiply,
    ),
    Ability(name="refuse a point off the curve", purpose="no key leaks bit by bit", check=probe_keys.refuse_bad_point),
    Ability(name="ECDH to an HMAC key that stays inside", purpose="keys of replica links", check=probe_keys.derive_mac),
    Ability(name="HMAC-SHA256", purpose="message keys, record ids", check=probe_keys.hmac_sha256),
    Ability(name="ECDSA P-256 over a digest", purpose="replica identity", check=probe_keys.ecdsa),
    Ability(
        name="make an AES-256 root with CKA_UNWRAP_TEMPLATE",
        purpose="unwrapping reopens nothing",
        check=probe_root.make,
    ),
    Ability(
        name="wrap an EC key (AES_KEY_WRAP_PAD) and unwrap it unreadable",
        purpose="record keys in the store",
        check=probe_root.wrap_ec,
    ),
    Ability(name="wrap and unwrap an HMAC key", purpose="fleet keys in a file", check=probe_root.wrap_secret),
    Ability(name="refuse a damaged blob", purpose="a changed store is noticed", check=probe_root.refuse_damage),
    Ability(
        name="refuse to unwrap into a readable key",
        purpose="a stolen blob stays shut",
        check=probe_root.refuse_readable,
    ),
    Ability(name="refuse to read an unreadable key", purpose="keys stay inside", check=probe_root.refuse_reading),
    Ability(
        name="refuse to copy the root, or give it CKA_DECRYPT",
        purpose="a root stays as it was installed",
        check=probe_root.refuse_change,
    ),
    Ability(
        name="refuse to wrap the root under an untrusted key",
        purpose="WRAP_WITH_TRUSTED guards the carry",
        check=probe_root.refuse_untrusted,
    ),
    Ability(
        name="refuse CKA_TRUSTED from a user session",
        purpose="only the security officer trusts a key",
        check=probe_root.refuse_self_trust,
    ),
    Ability(
        name="unwrap a root under RSA-3072 OAEP, with its final rights",
        purpose="carry of the root",
        check=probe_root.unwrap_rsa,
    ),
    Ability(
        name="keep a private data object",
        purpose="anchor of the replica's store",
        check=probe_root.data_object,
    ),
    Ability(
        name="Ed25519 signatures",
        purpose="an auditor's or operator's own key",
        check=probe_keys.ed25519,
        needed=False,
    ),
)


def probe(session: Session) -> list[Finding]:
    """Perform every ability on the token of a user's session; return a finding for each, whatever the device says.

    Takes a second or two: an RSA key is made.
    """
    bench = Bench(session)
    try:
        return [_perform(ability, bench) for ability in ABILITIES]
    finally:
        bench.clear()


def _perform(ability: Ability, bench: Bench) -> Finding:
    try:
        ok, detail = True, ability.check(bench)
    except ck.PKCS11Error as error:
        ok, detail = False, code_of(error)
    except MismatchError as error:
        ok, detail = False, str(error)
    except VaultError as error:
        ok, detail = False, error.what
    except (AttributeError, NotImplementedError) as error:
        # The library gives an object only the methods whose rights the device confirmed.
        ok, detail = False, f"the device made the object without the right it was asked for ({error})"
    return Finding(ability=ability.name, purpose=ability.purpose, needed=ability.needed, ok=ok, detail=detail)


def lacking(findings: list[Finding]) -> list[str]:
    """Return the names of what is needed and missing. An empty list means that the vault can run on this token."""
    return [finding.ability for finding in findings if finding.needed and not finding.ok]
