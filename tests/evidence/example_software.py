"""A record of software that some test may change."""

from __future__ import annotations

import hashlib

from hsm_app.evidence.software import Dependency, ModuleFile, Software


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


FILES = {
    "hsm_app/__init__.py": digest("init"),
    "hsm_app/model.py": digest("model"),
    "hsm_app/pages/web/log/page.js": digest("page"),
}
CLICK = Dependency(name="click", version="8.1.7", sha256=tuple(sorted([digest("click.whl"), digest("click.tar.gz")])))
PYJWT = Dependency(name="pyjwt", version="2.10", sha256=())
MODULE = ModuleFile(file="libsofthsm2.so", sha256=digest("module"))
SOFTWARE = Software(
    version="0.1.0",
    commit="12" * 20,
    wheel_sha256=digest("wheel"),
    files=FILES,
    dependencies=(CLICK, PYJWT),
    pkcs11_module=MODULE,
)
