"""The one door to a browser: open a page as visitors get it, look at it at several widths, try its links and form.

Nothing leaves the machine. Every request of the page is answered by `fetch`, in this process; for what goes past the
browser's interception (connections made ahead, sockets, name look-ups) every address leads to a proxy that is not
there. A page gets LONGEST_SECONDS; a browser that hangs or dies is replaced, and BrowserFailed says so.

Playwright drives a Chromium that is installed already; none is ever downloaded. It runs in an event loop of its own
thread (background_loop.py), so that the database of the caller's thread never meets it. To import it takes 24 MB and
most of a second, so nobody imports this module who does not look at pages.

axe-core (Deque Systems, MPL 2.0) comes with the package axe-playwright-python, of which nothing else is used: so it is
locked with a hash and renewed like every other dependency. Its notice stands at the head of the file that it ships.
"""

import asyncio
import functools
import json
import logging
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, Error, Page, Playwright, Request, Route, async_playwright

from variants.background_loop import BackgroundLoop, background_loop
from variants.browser import Asked, BrowserFailed, Fetch, Look, Visit
from variants.colours import TEXT_CONTRAST
from variants.page_health import KINDS, MOST_OF_A_KIND, RULES, Fault

logger = logging.getLogger(__name__)

LOOK: Final = Path(__file__).with_name("page_look.js").read_text("utf-8")
LONGEST_SECONDS: Final = 45.0  # a page takes two to three on one core; slower is a page that never comes to rest
LOAD_MS: Final = 10_000
CLOSE_SECONDS: Final = 5.0
SENT_SECONDS: Final = 2.0  # for a click to reach its address
PAGES_PER_BROWSER: Final = 50  # then a new one, so that what a page leaves behind cannot add up
SCREENS: Final = ((320, 568), (768, 1024), (1280, 800))  # pixels
PHONE: Final = (390, 664)  # an iPhone 14 shows 844 pixels, of which Safari's bars leave this
PICTURES: Final = {390: 844, 1280: 960}  # width and height of the first screen that is kept as a picture
DATAGRAMS: Final = ("RTCPeerConnection", "webkitRTCPeerConnection")
LONGEST_WORDS: Final = 120
MOST_ELEMENTS: Final = 5_000  # a landing page has hundreds
MOST_STOPS: Final = 30  # of the Tab key
REDIRECTS: Final = range(300, 400)

# Nobody is at the other end of the proxy: whatever is not answered here goes nowhere, loopback included.
ARGUMENTS: Final = (
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-pings",
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--js-flags=--max-old-space-size=256",
)


@functools.cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")


class Chromium:
    """Looks at pages, one after the other, in a browser that is started when it is needed."""

    def __init__(self, executable: str, loop: BackgroundLoop, *, longest_seconds: float = LONGEST_SECONDS) -> None:
        self._executable = executable
        self._loop = loop
        self.longest_seconds = longest_seconds
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._pages = 0
        self.starts = 0

    def look(self, visit: Visit, fetch: Fetch) -> Look:
        """Look at a page. Raise BrowserFailed."""
        work = self._loop.start(self._within_time(visit, fetch))
        patience = self.longest_seconds + 3 * CLOSE_SECONDS  # a driver that answers nothing at all
        try:
            return work.result(patience)
        except FutureTimeoutError as error:
            work.cancel()
            raise BrowserFailed("the browser does not answer") from error

    def close(self) -> None:
        with suppress(FutureTimeoutError):
            self._loop.start(self._stop()).result(4 * CLOSE_SECONDS)

    async def _within_time(self, visit: Visit, fetch: Fetch) -> Look:
        try:
            async with asyncio.timeout(self.longest_seconds):
                return await self._look(visit, fetch)
        except TimeoutError as error:
            await self._stop()
            raise BrowserFailed(f"it did not come to rest within {self.longest_seconds:.0f} seconds") from error
        except Error as error:
            logger.warning("a page could not be looked at: %s", error)
            await self._stop()
            raise BrowserFailed("the browser gave up on it") from error

    async def _look(self, visit: Visit, fetch: Fetch) -> Look:
        browser = await self._running()
        context = await browser.new_context(
            service_workers="block", accept_downloads=False, reduced_motion="reduce", locale="en-US"
        )
        try:
            # WebRTC's datagrams pass by the proxy that refuses all else.
            await context.add_init_script(f"for (const name of {json.dumps(DATAGRAMS)}) delete globalThis[name];")
            context.set_default_timeout(LOAD_MS)
            return await _Looking(visit, fetch, context).run()
        finally:
            with suppress(Error, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await context.close()

    async def _running(self) -> Browser:
        if self._pages >= PAGES_PER_BROWSER:
            await self._stop()
        if self._browser is None or not self._browser.is_connected():
            self._playwright = self._playwright or await async_playwright().start()
            self._browser = await self._playwright.chromium.launch(
                executable_path=self._executable,
                # Chromium's own sandbox holds whatever scripts an imported page brings; it refuses to work for root.
                chromium_sandbox=os.geteuid() != 0,
                args=list(ARGUMENTS),
            )
            self.starts += 1
            self._pages = 0
        self._pages += 1
        return self._browser

    async def _stop(self) -> None:
        """End the browser, and its driver, which ends a browser that did not."""
        browser, driver = self._browser, self._playwright
        self._browser = self._playwright = None
        for end in (browser and browser.close, driver and driver.stop):
            if end:
                with suppress(Error, TimeoutError):
                    async with asyncio.timeout(CLOSE_SECONDS):
                        await end()


@contextmanager
def chromium(executable: str, *, longest_seconds: float = LONGEST_SECONDS) -> Iterator[Chromium]:
    """Give a Chromium for the length of the block."""
    with background_loop() as loop:
        kept = Chromium(executable, loop, longest_seconds=longest_seconds)
        try:
            yield kept
        finally:
            kept.close()


class _Looking:
    """One visit."""

    def __init__(self, visit: Visit, fetch: Fetch, context: BrowserContext) -> None:
        self._visit = visit
        self._fetch = fetch
        self._context = context
        self._site = "{0.scheme}://{0.netloc}".format(urlsplit(visit.address))
        self._faults: list[Fault] = []
        self._others: set[str] = set()  # hosts that the page asked for something
        self._is_trying = False  # what is asked now is our doing
        self._answered = 0  # requests
        self._last = 0  # status of the last answer

    async def run(self) -> Look:
        await self._context.route("**/*", self._answer)
        await self._context.route_web_socket("**/*", lambda socket: socket.close())
        page = await self._context.new_page()
        await page.goto(self._visit.address, wait_until="load")
        await self._measure(page, "page")
        self._faults += await self._first_screen(page)
        pictures = {width: await _picture(page, width, height) for width, height in PICTURES.items()}
        self._faults += await self._tabbed(page)
        self._faults += [Fault(kind="third_party", detail=host) for host in sorted(self._others)]
        pressed = await self._try(page)
        if self._visit.thanks:
            await page.goto(self._visit.thanks, wait_until="load")
            await self._measure(page, "thanks")
        return Look(faults=tuple(self._faults), pictures=pictures, pressed=pressed)

    # requests

    async def _answer(self, route: Route) -> None:
        request = route.request
        if not request.url.startswith(f"{self._site}/"):
            if not self._is_trying:
                self._others.add(urlsplit(request.url).netloc)
            await route.abort("blockedbyclient")
            return
        answer = self._fetch(_asked(request))
        self._answered, self._last = self._answered + 1, answer.status
        if answer.status in REDIRECTS:
            await route.fulfill(status=204)  # where it leads to is in the answer; the page stays open
            return
        await route.fulfill(status=answer.status, headers=dict(answer.headers), body=answer.body)

    # looking

    async def _measure(self, page: Page, document: str) -> None:
        """Look at what is open now at every width; axe-core looks at the narrowest, and at the page's widest too."""
        widths = {SCREENS[0][0], SCREENS[-1][0]} if document == "page" else {SCREENS[0][0]}
        for width, height in SCREENS:
            await page.set_viewport_size({"width": width, "height": height})
            found = await _run(page, "measure")
            if width in widths:
                if not await page.evaluate("'axe' in window"):
                    await page.evaluate(_axe())
                found += await _run(page, "access", contrast=TEXT_CONTRAST)
            self._faults += [_fault(each, width=width, document=document) for each in found]

    async def _first_screen(self, page: Page) -> list[Fault]:
        width, height = PHONE
        await page.set_viewport_size({"width": width, "height": height})
        found = await _run(page, "firstScreen", button=self._visit.button)
        return [_fault(each, width=width, document="page") for each in found]

    async def _tabbed(self, page: Page) -> list[Fault]:
        """Go through the page by the Tab key: everything is reached, in the order in which it stands there."""
        expected = [each["place"] for each in await _run(page, "reachable")][:MOST_STOPS]
        reached: list[dict[str, str]] = []
        for _ in range(len(expected) + 1):
            await page.keyboard.press("Tab")
            if (stop := await _run(page, "focused")) is None:
                break
            reached.append(stop)
        places = [stop["place"] for stop in reached]
        if len(places) > 1 and len(set(places)) == 1:
            return [_fault({**reached[0], "detail": "The Tab key does not get past this."}, document="page")]
        order = {place: number for number, place in enumerate(expected)}
        for before, after in pairwise(stop for stop in reached if stop["place"] in order):
            if order[after["place"]] < order[before["place"]]:
                return [_fault({**after, "detail": "The Tab key comes here out of turn."}, document="page")]
        return []

    # trying

    async def _try(self, page: Page) -> frozenset[str]:
        """Press what stands for goals and send the form, first without and then with what it asks for."""
        self._is_trying = True
        pressed = set()
        for name, selector in self._visit.presses.items():
            before = self._answered
            if await _run(page, "press", selector=selector):
                pressed.add(name)
                await self._wait(before)
        if self._visit.form:
            await self._send(page, is_filled=False)
            if await page.locator(self._visit.form).count():
                await self._measure(page, "form")
            await self._send(page, is_filled=True)
        return frozenset(pressed)

    async def _send(self, page: Page, *, is_filled: bool) -> None:
        before = self._answered
        if await _run(page, "send", selector=self._visit.form, isFilled=is_filled):
            await self._wait(before)
            if not is_filled and self._last not in REDIRECTS:
                await page.wait_for_url("**/form", wait_until="load")  # the form is shown again, with its errors

    async def _wait(self, before: int) -> None:
        for _ in range(int(SENT_SECONDS / 0.02)):
            if self._answered > before:
                return
            await asyncio.sleep(0.02)


def _asked(request: Request) -> Asked:
    parts = urlsplit(request.url)
    return Asked(
        method=request.method,
        path=parts.path,
        query=parts.query,
        headers=request.headers,
        body=request.post_data_buffer or b"",
    )


async def _run(page: Page, what: str, **task: object) -> Any:
    limits = {"longest": LONGEST_WORDS, "most": MOST_ELEMENTS, "mostOfAKind": MOST_OF_A_KIND}
    return await page.evaluate(f"({LOOK})({json.dumps({'what': what, **limits, **task})})")


def _fault(found: Mapping[str, str], *, document: str, width: int = 0) -> Fault:
    is_rule = "help" in found and found["kind"] not in KINDS
    kind = RULES.get(found["kind"], "access") if is_rule else found["kind"]
    return Fault(
        kind=kind,
        words=found["words"],
        place=found["place"],
        detail=found["detail"],
        width=width,
        document=document,
    )


async def _picture(page: Page, width: int, height: int) -> bytes:
    await page.set_viewport_size({"width": width, "height": height})
    await page.evaluate("scrollTo(0, 0)")
    return await page.screenshot(animations="disabled", type="png", timeout=LOAD_MS)
