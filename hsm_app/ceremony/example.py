"""Plans to begin with: the one of each ceremony, filled with made-up people."""

from __future__ import annotations

from hsm_app.ceremony.plan import OF_A_FLEET, CeremonyName

REHEARSAL = "rehearsal"
NAMES = (*(name.value for name in CeremonyName), REHEARSAL)

_HEAD = """\
# The plan of a ceremony. Agree on it, publish it, and keep the file: its SHA-256 stands in the transcript.
ceremony = "{ceremony}"     # {names}
kind = "{kind}"        # rehearsal: throw-away SoftHSM tokens, made below the directory; real: the tokens named below
fleet = "fleet-1"         # small letters, digits, dashes; the tokens are labelled fleet-1-1, fleet-1-2, ...
custody = "{custody}"{pad}# sealed: nobody can ever add a token; maintained: a threshold of custodians can
"""
_THRESHOLD = "threshold = 3             # custodians that are needed\n"
_ROLES = """
[roles]
root_of_trust = "root-of-trust.json"  # the document that is believed now
operator = "operator.toml"            # key files of the present keys
auditor = "auditor.toml"
operator_token = { module = "/usr/lib/softhsm/libsofthsm2.so", label = "operator", pin_file = "operator.pin" }
auditor_token = { module = "/usr/lib/softhsm/libsofthsm2.so", label = "auditor", pin_file = "auditor.pin" }
"""
_PERSON = """
[[participant]]
name = "{name}"
role = "{role}"
key = "ssh-ed25519 REPLACE-BY-THE-PUBLIC-KEY-OF-{upper}"
"""
_TOKEN = """
[[token]]                 # of replica {number}
module = "/usr/lib/softhsm/libsofthsm2.so"
"""
_PEOPLE = (
    ("Ada", "administrator"), ("Ben", "operator"), ("Cleo", "auditor"), ("Dan", "custodian"), ("Eve", "custodian"),
    ("Finn", "custodian"), ("Gus", "custodian"), ("Hana", "custodian"), ("Ines", "witness"),
)  # fmt: skip


def example_plan(name: str) -> str:
    """Return the text of a plan for a ceremony of `NAMES`: three of five custodians, five tokens."""
    is_rehearsal = name == REHEARSAL
    ceremony = CeremonyName.GENESIS if is_rehearsal else CeremonyName(name)
    custody = "maintained" if ceremony is CeremonyName.REPLACE_TOKEN else "sealed"
    text = _HEAD.format(
        ceremony=ceremony, names=", ".join(CeremonyName), kind=REHEARSAL if is_rehearsal else "real", custody=custody,
        pad=" " * (17 - len(custody) - 2),
    )  # fmt: skip
    if ceremony is not CeremonyName.ROTATE_KEYS:
        text += _THRESHOLD
    if ceremony is CeremonyName.REPLACE_TOKEN:
        text += "replica = 2               # the one whose token is lost\n"
    if ceremony in OF_A_FLEET:
        text += 'fleet_directory = "./fleet-1"  # where its files are\n'
    if ceremony is CeremonyName.DESTROY_FLEET:
        text += (
            "lost = []                 # replicas whose tokens are not there any more; their token tables stay below\n"
        )
    if is_rehearsal:
        text += "replicas = 5\n"
    text += "".join(_PERSON.format(name=name, role=role, upper=name.upper()) for name, role in _PEOPLE)
    if ceremony is CeremonyName.ROTATE_KEYS:
        return text + _ROLES
    return text + ("" if is_rehearsal else "".join(_TOKEN.format(number=number) for number in range(1, 6)))
