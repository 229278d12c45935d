"""Seeded mutations of accepted inputs, for the short run in the suite. `make fuzz` has coverage to guide it instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

EDGES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff" * 4,
    bytes(4),
    b"\xff" * 8,
    b"\xc1",
    b"\xdf\xff\xff\xff\xff",
    b'"',
    b"e9",
)


def mutations(examples: Sequence[bytes], random: Random, count: int) -> Iterator[bytes]:
    """Yield `count` inputs: the examples as they are, then changed ones."""
    yield from examples[:count]
    for _ in range(count - len(examples)):
        data = bytearray(random.choice(examples))
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            mutate(data, random, examples)
        yield bytes(data)


def mutate(data: bytearray, random: Random, examples: Sequence[bytes]) -> None:
    """Change a byte, cut, repeat, insert an edge, or splice with another example. The first byte chooses a check."""
    start = random.randint(min(1, len(data)), len(data))
    end = min(len(data), start + random.choice((1, 2, 4, 32)))
    match random.randrange(6):
        case 0 if end > start:
            data[random.randrange(start, end)] ^= 1 << random.randrange(8)
        case 1:
            del data[start:end]
        case 2:
            data[start:start] = data[start:end] * random.choice((1, 2, 9))
        case 3:
            data[start:start] = random.choice(EDGES)
        case 4:
            data[start:end] = random.choice(EDGES)
        case _:
            data[start:] = random.choice(examples)[start:]
