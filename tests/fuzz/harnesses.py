"""The table of all harnesses. A new parser of bytes from outside is entered in one of them."""

from __future__ import annotations

from tests.fuzz.documents import DOCUMENTS, STORED
from tests.fuzz.links import LINKS
from tests.fuzz.sessions import REQUESTS
from tests.fuzz.streams import FRAMES
from tests.fuzz.transparency import TRANSPARENCY

HARNESSES = {
    "frames": FRAMES,
    "links": LINKS,
    "requests": REQUESTS,
    "documents": DOCUMENTS,
    "stored": STORED,
    "transparency": TRANSPARENCY,
}
