"""Plans that hold and plans that do not, all in the TOML that a page reads."""

from __future__ import annotations

KIB = 1024
GENESIS, KIND, ADA, AUDITOR = 'ceremony = "genesis"', 'kind = "rehearsal"', 'name = "Ada"', 'role = "auditor"'
DESTROY = 'ceremony = "destroy-fleet"\nfleet_directory = "x"'
CHANGES: dict[str, tuple[str, str]] = {
    "an unknown member": ("threshold = 2", "threshold = 2\nfloor = 4"),
    "an unknown member of a participant": (AUDITOR, f"{AUDITOR}\nage = 40"),
    "roles of a participant": (AUDITOR, f"{AUDITOR}\nroles = 1"),
    "a member twice": ("threshold = 2", "threshold = 2\nthreshold = 2"),
    "a token's table in a rehearsal": ("[[participant]]", '[[token]]\nmodule = "a"\n[[participant]]'),
    "real, with replicas": (KIND, 'kind = "real"'),
    "four replicas": ("replicas = 3", "replicas = 4"),
    "eleven replicas": ("replicas = 3", "replicas = 11"),
    "replicas in a list": ("replicas = 3", "replicas = [3]"),
    "a threshold of one": ("threshold = 2", "threshold = 1"),
    "a threshold beyond the custodians": ("threshold = 2", "threshold = 4"),
    "a threshold that is text": ("threshold = 2", 'threshold = "2"'),
    "a ceremony that there is not": (GENESIS, 'ceremony = "party"'),
    "another ceremony": (GENESIS, 'ceremony = "new-fleet"'),
    "keys are rotated": (GENESIS, 'ceremony = "rotate-keys"'),
    "a replica without a purpose": (GENESIS, f'{GENESIS}\nreplica = "x"\nfleet_directory = 1'),
    "a token is replaced in a sealed fleet": (
        GENESIS, 'ceremony = "replace-token"\nreplica = 1\nfleet_directory = "x"',
    ),
    "a fleet is destroyed": (GENESIS, DESTROY),
    "a fleet is destroyed that is nowhere": (GENESIS, 'ceremony = "destroy-fleet"'),
    "one is lost": (GENESIS, f"{DESTROY}\nlost = [1]"),
    "all are lost": (GENESIS, f"{DESTROY}\nlost = [1, 2, 3]"),
    "one is lost twice": (GENESIS, f"{DESTROY}\nlost = [1, 1]"),
    "one is lost that is none": (GENESIS, f"{DESTROY}\nlost = [4]"),
    "lost is a number": (GENESIS, f"{GENESIS}\nlost = 0"),
    "lost is empty": (GENESIS, f"{GENESIS}\nlost = []"),
    "lost in a new fleet": (GENESIS, f"{GENESIS}\nlost = [1]"),
    "custody of another kind": ('custody = "sealed"', 'custody = "Sealed"'),
    "a fleet with a capital": ('fleet = "fleet-1"', 'fleet = "Fleet-1"'),
    "a fleet with a long name": ('fleet = "fleet-1"', f'fleet = "{"f" * 28}"'),
    "a fleet with too long a name": ('fleet = "fleet-1"', f'fleet = "{"f" * 29}"'),
    "nobody is administrator": ('role = "administrator"', 'role = "witness"'),
    "a role that there is not": (AUDITOR, 'role = "cook"'),
    "two of one name": (ADA, 'name = "Ben"'),
    "a name with a sign that does not show": (ADA, 'name = "A\u200bda"'),
    "a name with an accent": (ADA, 'name = "Ad\u00e9"'),
    "a name with a dot at its start": (ADA, 'name = ".Ada"'),
    "carriage returns": ("\n", "\r\n"),
    "a comment": ("[[participant]]", "[[participant]]  # who"),
}  # fmt: skip
MODULES = {
    "text": 'module = "a"',
    "missing": "",
    "a number": "module = 1",
    "empty": 'module = ""',
    "a sign that does not show": 'module = "\u202e"',
    "long": f'module = "{"m" * 1000}"',
    "too long": f'module = "{"m" * 1001}"',
    "one with a slot": 'module = "a"\nslot = 1',
}
KEYS = {
    "empty": "",
    "a sign that does not show": "\u00ad",
    "a blank": " ",
    "of two words with another blank": "a\u00a0b",
    "of two words": "a b",
    "long": "k" * 1000,
    "too long": "k" * 1001,
}
TOKENS = '\n[[token]]\nmodule = "a"\n[[token]]\nmodule = "b"\nsofthsm2_conf = "c"\n[[token]]\n'


def plan_cases(raw: bytes) -> dict[str, bytes]:
    text = raw.decode()
    assert all(old in text for old, _ in CHANGES.values())
    cases = {"as it is": text} | {name: text.replace(old, new) for name, (old, new) in CHANGES.items()}
    real = text.replace(KIND, 'kind = "real"').replace("replicas = 3\n", "") + TOKENS
    cases |= {f"a real one, whose module is {name}": real + module for name, module in MODULES.items()}
    one, two, *_ = (line for line in text.splitlines() if line.startswith("key = "))
    cases |= {f"a key is {name}": text.replace(one, f'key = "{key}"') for name, key in KEYS.items()}
    cases["a key is another's, after a blank"] = text.replace(one, two.replace('"', '" ', 1))
    cases["two keys after a blank"] = text.replace(one, 'key = " ssh-rsa A"').replace(two, 'key = " ssh-rsa B"')
    sizes = {"as long as it may be": 64 * KIB, "too long": 64 * KIB + 1}
    cases |= {name: text + "#" * (size - len(raw)) for name, size in sizes.items()}
    return {name: one.encode() for name, one in cases.items()}
