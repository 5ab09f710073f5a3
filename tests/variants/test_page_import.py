"""Fetching a page: what it may connect to, and how it ends whatever the other side does."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from variants.page_import import Address, Guard, PageNotFetched, fetch, is_allowed, is_plain, is_public, resolved

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<h1>Hi</h1>"
PUBLIC = ip_address("93.184.216.34")
LOOPBACK = ip_address("127.0.0.1")


def is_loopback(address: Address) -> bool:
    """What a test double is allowed, by name."""
    return address == LOOPBACK


@dataclass(slots=True, kw_only=True)
class Server:
    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/page"


@contextmanager
def listening(answer: bytes | Callable[[socket.socket, bytes], None]) -> Iterator[Server]:
    """Answer every request with the same bytes, or as a function does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(port=listener.getsockname()[1])

        def answer_one(connection: socket.socket) -> None:
            with connection:
                try:
                    request = connection.recv(65536)
                    server.requests.append(request)
                    answer(connection, request) if callable(answer) else connection.sendall(answer)
                except OSError:
                    return

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                server.connections += 1
                threading.Thread(target=answer_one, args=(connection,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def guard(**changes: object) -> Guard:
    return Guard(**{"may_reach": is_loopback, "resolve": lambda _host, _port: [LOOPBACK], **changes})  # type: ignore[arg-type]


def redirect(url: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Go\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_page_is_fetched_without_telling_who_asks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with listening(PAGE) as server:
        found = fetch(f"{server.url}?a=ü#part", guard())
    assert (found.data, found.content_type) == (b"<h1>Hi</h1>", "text/html; charset=utf-8")
    [request] = server.requests
    assert request.startswith(b"GET /page?a=%C3%BC HTTP/1.1\r\nHost: localhost:")
    assert not any(name in request.lower() for name in (b"cookie", b"authorization", b"referer"))


PRIVATE = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
    "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "2002:7f00:1::", "2001::1", "2001:db8::1", "64:ff9b::a9fe:a9fe", "192.0.0.192", "::ffff:169.254.169.254",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_none_of_ours(address: str):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "::ffff:0.0.0.0", "fe80::1", "192.0.0.192"],
)
def test_where_private_addresses_are_allowed_those_that_clouds_hand_out_keys_at_are_not(address: str):
    assert not is_allowed(ip_address(address))
    assert is_allowed(ip_address("::ffff:10.0.0.1"))


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses_pass(address: str):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]",
     "localhost", "[::ffff:7f00:1]", "0", "127.0.0.1."],
)  # fmt: skip
def test_no_way_of_writing_our_own_address_reaches_it(host: str):
    with listening(PAGE) as server:
        with pytest.raises(PageNotFetched):
            fetch(f"http://{host}:{server.port}/")
        assert server.connections == 0


@pytest.mark.parametrize(
    "host", ["shop.example", "xn--bcher-kva.example", "localhost", "a_b.example.", "10.0.0.1", "::1"]
)
def test_names_and_addresses_in_their_usual_form_are_plain(host: str):
    assert is_plain(host)


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "1.2.3",
        "fe80::1%eth0",
        "-a.example",
        "a..example",
        "",
    ],
)
def test_what_each_resolver_reads_in_its_own_way_is_not_plain(host: str):
    assert not is_plain(host)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_with_one_private_address_is_refused_before_connecting(address: str):
    with listening(PAGE) as server, pytest.raises(PageNotFetched, match="public internet"):
        fetch(server.url, Guard(resolve=lambda _host, _port: [PUBLIC, ip_address(address)]))
    assert server.connections == 0


def test_a_name_that_changes_its_answer_is_asked_once():
    """DNS rebinding: the first answer passes the check, the second would be our own network."""
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[Address]:
        asked.append(host)
        return [LOOPBACK] if len(asked) == 1 else [ip_address("10.0.0.1")]

    with listening(PAGE) as server:
        assert fetch(server.url, guard(resolve=rebinding)).data == b"<h1>Hi</h1>"
    assert asked == ["localhost"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_each_redirect_is_checked_again(status: int):
    def resolve(host: str, _port: int) -> list[Address]:
        return [LOOPBACK] if host == "localhost" else [ip_address("169.254.169.254")]

    with listening(redirect("http://metadata.example/latest/", status)) as server:
        with pytest.raises(PageNotFetched, match="public internet"):
            fetch(server.url, guard(resolve=resolve))
        assert server.connections == 1


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "gopher://x/", "ftp://x/", "javascript:x", "http://u:p@localhost/", "//"]
)
def test_redirects_to_what_is_no_page_are_refused(url: str):
    with listening(redirect(url)) as server, pytest.raises(PageNotFetched):
        fetch(server.url, guard())
    assert server.connections <= 7


@pytest.mark.parametrize(("hops", "is_fetched"), [(5, True), (6, False)])
def test_five_redirects_are_followed_and_no_more(hops: int, *, is_fetched: bool):
    def answer(connection: socket.socket, request: bytes) -> None:
        step = int(request.split(b" ")[1].rpartition(b"/")[2] or b"0") if b"/hop/" in request else 0
        connection.sendall(redirect(f"/hop/{step + 1}") if step < hops else PAGE)

    with listening(answer) as server:
        if is_fetched:
            assert fetch(server.url, guard()).address == f"http://localhost:{server.port}/hop/5"
            return
        with pytest.raises(PageNotFetched, match="again and again"):
            fetch(server.url, guard())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n\r\n%PDF", "application/pdf"),
        (b"HTTP/1.1 200 OK\r\n\r\nx", "no name"),
        (b"HTTP/1.1 404 No\r\nContent-Type: text/html\r\n\r\nx", "no such page"),
        (b"HTTP/1.1 403 No\r\nContent-Type: text/html\r\n\r\nx", "does not let us"),
        (b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\n\r\nx", "fault of its own"),
        (b"HTTP/1.1 302 No\r\nContent-Type: text/html\r\n\r\nx", "fault of its own"),
        (b"SSH-2.0-OpenSSH\r\n", "broke off"),
        (b"", "broke off"),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 500, "broke off"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99\r\n\r\n<p>", "broke off"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\nnot packed", "damaged"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br\r\n\r\nxx", "was not asked for"),
    ],
)
def test_every_answer_that_is_no_page_ends_in_words(answer: bytes, said: str):
    with listening(answer) as server, pytest.raises(PageNotFetched, match=said):
        fetch(server.url, guard())


def test_packed_pages_are_unpacked():
    packed = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"<h1>Hi")
    with listening(packed) as server:
        assert fetch(server.url, guard()).data == b"<h1>Hi"


@pytest.mark.parametrize("encoding", [b"", b"Content-Encoding: gzip\r\n"])
def test_more_than_is_taken_is_refused_packed_or_not(encoding: bytes):
    body = gzip.compress(bytes(50_000_000)) if encoding else bytes(2_000_001)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" + encoding + b"\r\n" + body
    with listening(answer) as server, pytest.raises(PageNotFetched, match="larger than 2 MB"):
        fetch(server.url, guard(most_bytes=2_000_000))


@pytest.mark.parametrize(
    "first", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"]
)
def test_a_server_that_sends_a_byte_now_and_then_is_cut_off(first: bytes):
    def drip(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(first)
        for _ in range(600):
            time.sleep(0.05)
            connection.sendall(b"x")

    with listening(drip) as server:
        began = time.monotonic()
        with pytest.raises(PageNotFetched, match="takes too long"):
            fetch(server.url, guard(seconds=0.5))
        assert time.monotonic() - began < 20  # it would go on for half a minute


def test_a_resolver_that_never_answers_is_not_waited_for():
    over = threading.Event()

    def stuck(_host: str, _port: int) -> list[Address]:
        over.wait(30)
        return []

    with pytest.raises(PageNotFetched, match="no site"):
        fetch("http://slow.example/", guard(resolve=stuck, seconds=0.2))
    over.set()


def test_only_a_few_pages_are_fetched_at_once():
    waiting = threading.Event()

    def hang(connection: socket.socket, _request: bytes) -> None:
        waiting.wait(20)
        connection.sendall(PAGE)

    def fetch_one(url: str) -> None:
        assert fetch(url, guard()).data

    with listening(hang) as server:
        threads = [threading.Thread(target=fetch_one, args=(server.url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        while server.connections < 4:
            time.sleep(0.01)
        with pytest.raises(PageNotFetched, match="Other pages"):
            fetch(server.url, guard())
        waiting.set()
        for thread in threads:
            thread.join(20)


NO_ADDRESSES = (
    "", "x", "http://", "http:///x", "http://[::1", "http://a:99999/", "http://ex ample.com/", "http://x.example:22/",
    "http://" + "a" * 300 + ".com/", "http://..", "https://ü" * 100,
)  # fmt: skip


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_told_so(url: str):
    with pytest.raises(PageNotFetched):
        fetch(url)


def test_the_host_is_asked_for_by_name_at_the_address_that_was_checked():
    with listening(PAGE) as server:
        fetch(f"http://www.example.com:{server.port}/", guard())
        assert f"Host: www.example.com:{server.port}".encode() in server.requests[0]


def test_a_certificate_that_is_not_the_hosts_is_refused():
    with listening(b"not tls") as server, pytest.raises(PageNotFetched, match=r"certificate|broke off"):
        fetch(f"https://localhost:{server.port}/", guard())


def test_names_are_resolved_by_the_system():
    assert LOOPBACK in resolved("127.0.0.1", 80)
