"""One browser for all tests of pages. Each test has a site on a port of its own, which the browser never saw before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.page.browser import Browser, browser, driver


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with driver() as address, browser(address) as opened:
        yield opened
