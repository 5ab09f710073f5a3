"""One Chromium for all browser tests, and another one when it has died; how long they wait, and for what."""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserType, Page, ViewportSize, expect, sync_playwright

PHONE, DESKTOP = ViewportSize(width=390, height=844), ViewportSize(width=1280, height=900)
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
# A browser that dies under a test says nothing of the page. A page that kills browsers kills the second one too.
CRASHES = ["Target page, context or browser has been closed", "Page crashed", "Target crashed"]
RERUNS = 2
# Playwright's own default for clicks and navigations; its five seconds for `expect` are too few for a busy machine.
PATIENCE_SECONDS = 30.0
expect.set_options(timeout=PATIENCE_SECONDS * 1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, only_rerun=CRASHES))


def wait_for(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait for what no locator tells, while the browser goes on."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not is_so() and time.monotonic() < give_up:
        page.wait_for_timeout(50)
    assert is_so()


def come_to_rest(page: Page) -> None:
    """Wait until no font, colour or place is on its way any more: halfway, words have other contrasts than in the end.

    An icon is a word until its font is there.
    """
    page.wait_for_load_state()
    page.evaluate("document.fonts.ready.then(() => null)")
    page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    page.wait_for_function(
        "document.getAnimations().every((each) => each.playState !== 'running'"
        " || each.effect.getComputedTiming().iterations === Infinity)"
    )


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
