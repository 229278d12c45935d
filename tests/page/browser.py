"""A headless Chromium, driven over loopback by WebDriver (W3C WebDriver, sections 8 and 10 to 17) and the stdlib."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hsm_app.net.address import Address
from tests.patience import PATIENCE
from tests.ports import free_ports

PORT = re.compile(r"started successfully on port (\d+)")
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip


def fresh() -> Address:
    """Return where a site can be served that this browser never saw: it remembers each by its port, for all tests."""
    return Address(host="127.0.0.1", port=free_ports(1)[0])


class Browser:
    """One window, with a profile of its own."""

    def __init__(self, driver: str, profile: Path) -> None:
        self._base = driver
        options = {"args": [*ARGUMENTS, f"--user-data-dir={profile}"]}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self._base = f"{driver}/session/{made['sessionId']}"

    def close(self) -> None:
        self._ask("DELETE", "")

    def resize(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def devtools(self, command: str, parameters: dict[str, Any]) -> None:
        self._ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def open(self, url: str) -> None:
        """Load a page anew, whatever was shown before."""
        self._ask("POST", "/url", {"url": "about:blank"})
        self._ask("POST", "/url", {"url": url})

    def run(self, script: str) -> Any:
        return self._ask("POST", "/execute/sync", {"script": script, "args": []})

    def verdict(self) -> str:
        """Wait for the page to come to its end, and return what it says."""
        return self.until("return document.documentElement.dataset.verdict")

    def verdict_after(self, script: str) -> str:
        """Do something in the page that makes it look again, and return what it says then."""
        self.run(f"delete document.documentElement.dataset.verdict; {script}")
        return self.verdict()

    def until(self, script: str) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if said := self.run(script):
                return str(said)
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def text(self, selector: str) -> str:
        return str(self.run(f"return document.querySelector({json.dumps(selector)}).innerText"))

    def give_file(self, selector: str, *paths: Path) -> None:
        """Choose files in the page that was opened; `verdict` then waits for what comes of it."""
        self.run("delete document.documentElement.dataset.verdict")
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        self._ask("POST", f"/element/{next(iter(found.values()))}/value", {"text": "\n".join(map(str, paths))})

    def screenshot(self) -> bytes:
        return base64.b64decode(self._ask("GET", "/screenshot"))

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as answer:
            return json.load(answer)["value"]


@contextmanager
def driver() -> Iterator[str]:
    """A chromedriver on a free port; yields its address."""
    process = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        port = next(found[1] for line in process.stdout if (found := PORT.search(line)))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


@contextmanager
def browser(address: str) -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        opened = Browser(address, Path(profile))
        try:
            yield opened
        finally:
            opened.close()
