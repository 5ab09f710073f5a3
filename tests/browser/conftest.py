"""One Chromium for all browser tests, and another one when it has died."""

import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.test.testcases import LiveServerThread
from playwright.sync_api import Browser, BrowserType, Page, ViewportSize, sync_playwright

PHONE, DESKTOP = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=900)
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
# A browser that dies under a test says nothing of the page. A page that kills browsers kills the second one too.
CRASHES = ["Target page, context or browser has been closed", "Page crashed", "Target crashed"]
RERUNS = 2
LONGEST_WAIT_SECONDS = 20.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, only_rerun=CRASHES))


class OneAtATime(ThreadedWSGIServer):
    """The test's server, which answers one request after the other: its threads share one SQLite connection."""

    def set_app(self, application: Any) -> None:
        lock = threading.Lock()

        def serial(environ: Any, start_response: Any) -> Any:
            # A request that asks the server something itself would wait for ever.
            is_held = lock.acquire(timeout=LONGEST_WAIT_SECONDS)
            try:
                return application(environ, start_response)
            finally:
                if is_held:
                    lock.release()

        super().set_app(serial)


@pytest.fixture(scope="session", autouse=True)
def _one_at_a_time() -> None:
    LiveServerThread.server_class = OneAtATime


class Browsers:
    """Keeps one browser running."""

    def __init__(self, kind: BrowserType, executable: str) -> None:
        self._kind = kind
        self._executable = executable
        self._browser: Browser | None = None

    def running(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._kind.launch(executable_path=self._executable, args=ARGUMENTS)
        return self._browser

    def close(self) -> None:
        if self._browser is not None:
            self._browser.close()


@pytest.fixture(scope="session")
def browsers() -> Iterator[Browsers]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Chromium is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # Playwright's synchronous interface runs an event loop in this thread, in which Django refuses the database.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with sync_playwright() as playwright:
            kept = Browsers(playwright.chromium, executable)
            yield kept
            kept.close()


@pytest.fixture
def chromium(browsers: Browsers) -> Browser:
    return browsers.running()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """A page that fails the test if the browser had anything to complain about."""
    complaints: list[str] = []
    found = chromium.new_page(viewport=DESKTOP)
    found.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: complaints.append(str(error)))
    yield found
    found.close()
    assert complaints == []
