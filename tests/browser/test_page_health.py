"""Pages with one planted fault each, and pages without: what the look in a browser says of them."""

import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from variants.browser import Answered, Asked, BrowserFailed, Look, Visit
from variants.chromium import Chromium, chromium
from variants.gates import Finding
from variants.page_health import findings_of

pytestmark = pytest.mark.browser

ADDRESS = "http://127.0.0.1:8000/p/example/"
PATIENCE_SECONDS = 180.0  # a page takes two to three on a core of its own
BUTTON = 'a[href="#form"]'
STYLE = """body{margin:0;font:16px/1.5 sans-serif;background:#fff;color:#222}main,header,footer{padding:16px}
.button{display:inline-block;padding:12px 24px;background:#0b6e4f;color:#fff}
input{display:block;width:100%;max-width:20rem;box-sizing:border-box}"""
BODY = """<header><b>Brand</b></header><main><h1>Find any letter in seconds</h1><p id="lede">Scan it once.</p>
<p><a class="button" href="#form">Send me the guide</a></p><p><a href="go/more">See how it works</a></p>
<form id="form" method="post" action="form"><label for="e">E-mail address</label><input id="e" name="e" type="email">
<button class="button">Send it</button></form></main><footer><p>Small print</p></footer>"""


def document(body: str = BODY, style: str = "", head: str = "") -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Find letters</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{style}</style>{head}</head><body>{body}</body></html>"
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("Chromium is not installed")
    with chromium(executable, longest_seconds=PATIENCE_SECONDS) as kept:
        yield kept


def look_at(browser: Chromium, page: str, **visit: object) -> Look:
    def fetch(asked: Asked) -> Answered:
        if asked.method == "POST":
            return Answered(status=303, headers={"location": "thanks"}, body=b"")
        if asked.path.endswith("/go/more"):
            return Answered(status=302, headers={"location": "https://brand.example/"}, body=b"")
        return Answered(status=200, headers={"content-type": "text/html"}, body=page.encode())

    return browser.look(Visit(address=ADDRESS, **{"button": BUTTON, **visit}), fetch)  # type: ignore[arg-type]


def found(browser: Chromium, page: str, **visit: object) -> list[Finding]:
    return findings_of(look_at(browser, page, **visit).faults)


LONG = "Donaudampfschifffahrtsgesellschaftskapitän"
PLANTED = {
    "a word wider than a phone": (BODY.replace("Find any letter", LONG), "", "overflow", LONG[:20]),
    "a word that leaves its button": (
        BODY.replace("Send me the guide", LONG), ".button{width:120px}", "overflow", LONG[:20],
    ),
    "a box wider than the page": (BODY + "<div class=w>&nbsp;</div>", ".w{width:1400px;height:9px}", "overflow", ""),
    "a text cut off at its side": (BODY, "#lede{width:60px;overflow:hidden;white-space:nowrap}", "clipped", "Scan it"),
    "a text cut off below": (
        BODY.replace("Scan it once.", "Scan it once. " * 20), "#lede{height:24px;overflow:hidden}", "clipped", "Scan",
    ),
    "two texts over each other": (BODY, "#lede{margin-top:-56px}", "overlap", "Find any letter in seconds"),
    "a text over a field": (
        BODY.replace("<footer>", "<footer><p id=o>Only today</p>"),
        "main{position:relative}footer{position:static}#o{position:absolute;left:20px;top:0}"
        "#e{position:absolute;left:16px;top:0;height:60px;width:200px}main{position:static}header{margin-top:60px}",
        "overlap", "E-mail address",
    ),
    "grey on white": (BODY, "#lede{color:#999}", "contrast", "Scan it once."),
    "large grey on white": (BODY, "h1{color:#888}", "contrast", "Find any letter in seconds"),
    "the button below the fold": (BODY, "#lede{margin-bottom:700px}", "first_screen", "Send me the guide"),
    "the button under a banner": (
        BODY.replace("<h1>", "<div class=c>We use cookies</div><h1>"), ".c{position:fixed;inset:0;background:#eee}",
        "first_screen", "",
    ),
    "a field without a label": (BODY.replace('<label for="e">E-mail address</label>', ""), "", "labels", ""),
    "a picture without words": (BODY.replace("<h1>", '<img src="i/a.png"><h1>'), "", "alt", ""),
    "a third party's picture": (BODY.replace("<h1>", '<img alt="" src="https://x.example/a.png"><h1>'), "",
        "third_party", ""),
    "focus out of turn": (BODY.replace('"go/more"', '"go/more" tabindex="3"'), "", "keyboard", "Send"),
    "an unknown role": (BODY.replace("<h1>", '<p role="nonsense">Hello</p><h1>'), "", "access", "Hello"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_with_its_words_and_nothing_else_is(browser, name):
    body, style, gate, words = PLANTED[name]
    seen = found(browser, document(body, style))
    assert {finding.gate for finding in seen if finding.blocks} == {gate}, seen
    assert any(words in finding.words for finding in seen), seen


def test_a_clean_page_has_no_findings_and_its_pictures_are_of_both_widths(browser):
    look = look_at(browser, document(), form="#form", presses={"more": 'a[href="go/more"]'})
    assert findings_of(look.faults) == []
    assert {width: png[:4] for width, png in look.pictures.items()} == {390: b"\x89PNG", 1280: b"\x89PNG"}
    assert look.pressed == {"more"}


QUIET = {
    "hidden for screen readers": '<p style="position:absolute;left:-9999px">Read aloud</p>',
    "a row to be scrolled sideways": f'<p tabindex="0" style="overflow:auto;white-space:nowrap">{"Wide " * 200}</p>',
    "drawings that bleed off": '<svg aria-hidden="true" width="900" style="position:absolute;right:-400px">'
    '<text x="700" y="20">Far</text></svg>',
    "a closed answer": "<details><summary>Is it safe?</summary><p>Yes.</p></details>",
    "from right to left": '<p dir="rtl" lang="ar">مرحبا بكم في صفحتنا الجديدة</p>',
    "emoji and large numbers": "<p>🎉🎉🎉 1,234,567,890,123,456</p>",
    "an endless animation": "<style>@keyframes t{to{opacity:.9}}.t{animation:t 1s infinite}</style><p class=t>Go</p>",
}


def test_what_is_meant_to_be_so_is_no_fault(browser):
    page = BODY.replace("</form>", f"</form>{''.join(QUIET.values())}")
    assert found(browser, document(page, style="body{overflow-x:clip}")) == []


def test_a_page_that_never_comes_to_rest_is_cut_off_and_the_next_one_is_looked_at(browser):
    hanging = document(head="<script>addEventListener('load', () => { for (;;) {} })</script>")
    browser.longest_seconds = 3
    with pytest.raises(BrowserFailed, match="did not come to rest within 3 seconds"):
        look_at(browser, hanging)
    browser.longest_seconds = PATIENCE_SECONDS
    assert look_at(browser, document()).pictures


def test_a_browser_that_dies_is_told_of_and_replaced_once(browser):
    others = chromium_processes()

    def dies(_asked: Asked) -> Answered:
        for pid in chromium_processes() - others:
            os.kill(pid, signal.SIGKILL)
        return Answered(status=200, headers={}, body=b"")

    with chromium(shutil.which("chromium") or "") as own:
        with pytest.raises(BrowserFailed, match="the browser gave up"):
            own.look(Visit(address=ADDRESS), dies)
        assert look_at(own, document()).pictures
        assert look_at(own, document()).pictures
        assert own.starts == 2


def chromium_processes() -> set[int]:
    """Return the browsers that this process has started, through Playwright's driver."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            parents[int(folder.name)] = (int(parent), (folder / "comm").read_text().strip())
    drivers = {pid for pid, (parent, _) in parents.items() if parent == os.getpid()}
    return {pid for pid, (parent, name) in parents.items() if parent in drivers and "chrom" in name}


class Listener:
    """Counts who connects to this machine."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.connections += 1
                connection.close()


REACHING_OUT = """<link rel="preconnect" href="http://127.0.0.1:{0}"><link rel="dns-prefetch" href="http://127.0.0.1:{0}">
<link rel="prefetch" href="http://127.0.0.1:{0}/p"><script>
fetch("http://127.0.0.1:{0}/f").catch(() => 0); new Image().src = "http://127.0.0.1:{0}/i";
try {{ new WebSocket("ws://127.0.0.1:{0}/w") }} catch (e) {{}}
navigator.sendBeacon("http://127.0.0.1:{0}/b", "x");
new Worker(URL.createObjectURL(new Blob(["fetch('http://127.0.0.1:{0}/worker')"])));
open("http://127.0.0.1:{0}/o");
</script><iframe title="other" src="http://127.0.0.1:{0}/frame"></iframe>"""


def test_nothing_that_a_page_tries_leaves_the_machine(browser):
    listener = Listener()
    look = look_at(browser, document(head=REACHING_OUT.format(listener.port)))
    listener.socket.close()
    assert listener.connections == 0
    assert f"127.0.0.1:{listener.port}" in {fault.detail for fault in look.faults if fault.kind == "third_party"}


DATAGRAMS = """<script>
const way = document.documentElement.appendChild(document.createElement("iframe")).contentWindow;
for (const Peer of [globalThis.RTCPeerConnection, globalThis.webkitRTCPeerConnection, way.RTCPeerConnection]) {{
  if (!Peer) continue;
  const peer = new Peer({{iceServers: [{{urls: "stun:127.0.0.1:{0}"}}]}});
  peer.createDataChannel("x");
  peer.createOffer().then((offer) => peer.setLocalDescription(offer));
}}
</script>"""


def test_no_datagram_leaves_a_page(browser):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    look_at(browser, document(head=DATAGRAMS.format(listener.getsockname()[1])))
    listener.setblocking(False)
    with listener, pytest.raises(BlockingIOError):
        listener.recv(100)


def test_a_page_of_megabytes_is_looked_at_in_bounded_time(browser):
    many = "".join(f"<p>Paragraph {number} of a page without end.</p>" for number in range(8_000))
    look = look_at(browser, document(BODY.replace("</form>", f"</form>{many}")), button="")
    assert {fault.kind for fault in look.faults} == {"unchecked"}
