"""The page for people: static files that show each epoch and check the log in the reader's browser.

The page reads the log's own files, the list of namespaces and their roots of trust, all from where it came from, and
asks nothing of any other site. It is trusted for nothing that its reader did not compare with something from elsewhere,
and it says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from hsm_app.durable import make_directories, replace_file
from hsm_app.fleet.root_of_trust import RootOfTrust
from hsm_app.pages.web_files import Page, web_files

LISTED, ROOTS = "namespaces.json", "roots-of-trust"


def page_files(roots: Iterable[RootOfTrust]) -> Mapping[str, bytes]:
    """Return the page's files by their paths beside the log's. StoreError when this program is not installed whole."""
    files = dict(web_files(Page.LOG))
    listed = []
    for root in roots:
        path = f"{ROOTS}/{hashlib.sha256(root.namespace.encode()).hexdigest()[:16]}.json"
        files[path] = root.raw
        listed.append({"namespace": root.namespace, "root_of_trust": path})
    files[LISTED] = json.dumps(listed, indent=1).encode() + b"\n"
    return files


def write_page(public: Path, files: Mapping[str, bytes]) -> None:
    """Write the page's files beside the log's, for any web server; older ones are replaced, each in one step."""
    for name, data in files.items():
        make_directories((public / name).parent, public)
        replace_file(public / name, data)
