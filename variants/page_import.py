"""The one door to other people's web servers: an address in, the bytes of a page out.

Whoever may import pages must not be able to look around in our own network through us (OWASP: SSRF). So each hop is
done by hand: the name is resolved once, every address it has must be public, and the connection goes to one of those
very addresses, so that no second answer of a name server is ever believed. It is told to nobody who asks, sends no
cookies and no credentials, takes no proxy from the environment, and ends in time whatever the other side does.

The same door lets messages out (`post`), to addresses that people have set: on the same conditions.

PageNotFetched: the message says why, in words for the person who asked.
"""

import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

MOST_BYTES: Final = 10_000_000  # unpacked
MOST_SECONDS: Final = 15.0  # for all hops together
MOST_REDIRECTS: Final = 5
MOST_TRIED: Final = 3  # addresses of one name
AT_ONCE: Final = 4  # pages fetched by one process: each holds a thread that others wait for
CHUNK_BYTES: Final = 65_536
LOWEST_FREE_PORT: Final = 1024  # below it stand services that are not web servers
WEB_PORTS: Final = {"http": 80, "https": 443}
MOST_NAME: Final = 253  # characters, RFC 1035
LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
SAFE_IN_TARGET: Final = "!#$%&'()*+,/:;=?@[]~"
# RFC 6890 keeps them for protocols; at least one cloud hands out keys there, and Python took some for public ones.
PROTOCOLS: Final = IPv4Network("192.0.0.0/24")
NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 addresses as a gateway reaches them

NOT_PLAIN: Final = "is neither the name of a site, such as example.com, nor an IP address in its usual form."

type Address = IPv4Address | IPv6Address


class PageNotFetched(ValueError):
    """The page could not be had, or may not be; `reason` is why, without what to do about a page."""

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(f"{reason} {advice}".rstrip())
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    data: bytes
    content_type: str  # the header
    address: str  # after redirects


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one only wraps."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return IPv4Address(address.packed[-4:]) if address in NAT64 else address


def is_allowed(address: Address) -> bool:
    """Tell whether an address may be asked where private ones may: never link-local, where clouds hand out keys."""
    plain = _plain(address)
    return not (plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain in PROTOCOLS)


def is_public(address: Address) -> bool:
    """Tell whether an address is one that anybody on the internet could be asked for."""
    address = _plain(address)
    # Tunnels carry an IPv4 address that the far end would be asked for; nobody serves pages there.
    if isinstance(address, IPv6Address) and (address.sixtofour or address.teredo or address.is_site_local):
        return False
    if address in PROTOCOLS:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def is_plain(host: str) -> bool:
    """Tell whether a host is a name or an IP address in its usual form.

    What ends in a number is an address to resolvers and browsers, and each reads `0x7f.1` or `2130706433` in its own
    way: a person who looks at it cannot see where it leads (WHATWG URL, "ends in a number").
    """
    try:
        return "%" not in str(ip_address(host))
    except ValueError:
        labels = host.removesuffix(".").split(".")
    return len(host) <= MOST_NAME and all(map(LABEL.fullmatch, labels)) and not NUMBER.fullmatch(labels[-1])


def resolved(host: str, port: int) -> list[Address]:
    """Return the addresses of a host; whatever the resolver takes for an address (decimal, octal) becomes one here."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(entry[4][0])) for entry in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What a fetch may reach and take. Tests allow loopback here; nothing that people can set does."""

    may_reach: Callable[[Address], bool] = is_public
    resolve: Callable[[str, int], Sequence[Address]] = resolved
    seconds: float = MOST_SECONDS
    most_bytes: int = MOST_BYTES
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Whatever a server answered to one request."""

    status: int
    headers: tuple[tuple[str, str], ...]
    data: bytes

    def all(self, name: str) -> list[str]:
        """Return the values of a header, in the order they came."""
        return [value for each, value in self.headers if each.lower() == name.lower()]


_places = threading.BoundedSemaphore(AT_ONCE)


def fetch(url: str, guard: Guard | None = None) -> Fetched:
    """Fetch a page. Raise PageNotFetched."""
    guard = guard or Guard()
    if not _places.acquire(blocking=False):
        raise PageNotFetched("Other pages are being imported at the moment. Try again in a few seconds.")
    try:
        return _fetch(url.strip(), guard, time.monotonic() + guard.seconds)
    finally:
        _places.release()


def post(url: str, body: bytes, headers: Mapping[str, str], guard: Guard) -> int:
    """Send a message and return the status it was answered with; redirects are not followed, answers not read.

    Raise PageNotFetched.
    """
    until = time.monotonic() + guard.seconds
    parts = _checked(url)
    with _connected(parts, guard, until) as connection, _in_time(connection, until):
        connection.putrequest("POST", _target(parts), skip_host=True, skip_accept_encoding=True)
        own = {"Host": _named_host(parts), "Content-Length": str(len(body)), "Connection": "close"}
        for name, value in {**headers, **own}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        with connection.getresponse() as response:
            return response.status


def ask(url: str, guard: Guard, *, method: str = "GET", headers: Sequence[tuple[str, str]] = ()) -> Answered:
    """Send one request as it stands and return the answer as it comes, be it an error or a redirect.

    For looking at how an address of our own pages answers. Raise PageNotFetched.
    """
    until = time.monotonic() + guard.seconds
    parts = _checked(url)
    with _connected(parts, guard, until) as connection, _in_time(connection, until):
        connection.putrequest(method, _target(parts), skip_host=True, skip_accept_encoding=True)
        named = {name.lower() for name, _ in headers}
        for name, value in (*(own for own in _headers(parts) if own[0].lower() not in named), *headers):
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as response:
            return Answered(
                status=response.status,
                headers=tuple(response.getheaders()),
                data=_body(response, guard.most_bytes),
            )


def _fetch(url: str, guard: Guard, until: float) -> Fetched:
    for _ in range(MOST_REDIRECTS + 1):
        found = _hop(url, guard, until)
        if isinstance(found, Fetched):
            return found
        url = found
    raise PageNotFetched("The address leads on to another one again and again. Give the address where it ends.")


def _hop(url: str, guard: Guard, until: float) -> Fetched | str:
    """Ask one server; return the page, or the address it sends us to."""
    parts = _checked(url)
    with _connected(parts, guard, until) as connection, _in_time(connection, until):
        connection.putrequest("GET", _target(parts), skip_host=True, skip_accept_encoding=True)
        for name, value in _headers(parts):
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as response:
            location = response.getheader("Location")
            if response.status in REDIRECTS and location:
                return urljoin(url, location)
            _refuse_unless_page(response)
            data = _body(response, guard.most_bytes)
            return Fetched(data=data, content_type=response.getheader("Content-Type", ""), address=url)


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port or WEB_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise PageNotFetched(f"“{url[:80]}” is not the address of a page.") from error
    if parts.scheme not in WEB_PORTS or not parts.hostname:
        raise PageNotFetched("Give the address of a page, starting with https:// or http://.")
    if parts.username is not None or parts.password is not None:
        raise PageNotFetched("Give the address without a user name or password: only pages open to all are imported.")
    if port not in WEB_PORTS.values() and port < LOWEST_FREE_PORT:
        raise PageNotFetched("That port belongs to no web server.")
    return parts


def _host(parts: SplitResult) -> str:
    """Return the host's name as name servers know it."""
    try:
        name = (parts.hostname or "").encode("idna").decode("ascii")
    except UnicodeError as error:
        raise PageNotFetched(f"“{parts.hostname}” cannot be the name of a site.") from error
    if not is_plain(name):
        raise PageNotFetched(f"“{name}” {NOT_PLAIN}")
    return name


def _port(parts: SplitResult) -> int:
    return parts.port or WEB_PORTS[parts.scheme]


def _target(parts: SplitResult) -> str:
    path = quote(parts.path or "/", safe=SAFE_IN_TARGET)
    return f"{path}?{quote(parts.query, safe=SAFE_IN_TARGET)}" if parts.query else path


def _named_host(parts: SplitResult) -> str:
    host = _host(parts)
    named = f"[{host}]" if ":" in host else host
    return named if _port(parts) == WEB_PORTS[parts.scheme] else f"{named}:{_port(parts)}"


def _headers(parts: SplitResult) -> list[tuple[str, str]]:
    return [
        ("Host", _named_host(parts)),
        ("User-Agent", "Mozilla/5.0 (compatible; Greenhouse page import)"),
        ("Accept", "text/html,application/xhtml+xml"),
        ("Accept-Encoding", "gzip, identity;q=0.5"),
        ("Connection", "close"),
    ]


# --- the connection -------------------------------------------------------------------------------------------------


def _addresses(parts: SplitResult, guard: Guard, until: float) -> list[Address]:
    """Return where a host may be reached. One address that is not public condemns them all."""
    host, port = _host(parts), _port(parts)
    found: list[Address] = []
    failures: list[OSError] = []

    def look_up() -> None:
        try:
            found.extend(guard.resolve(host, port))
        except (OSError, UnicodeError) as error:
            failures.append(OSError(str(error)))

    # The system's resolver knows no deadline, so it is waited for no longer than there is time.
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(max(0.0, until - time.monotonic()))
    if thread.is_alive() or failures or not found:
        raise PageNotFetched(f"There is no site “{host}”, or its name servers do not answer.")
    addresses = list(dict.fromkeys(found))
    if not all(guard.may_reach(address) for address in addresses):
        raise PageNotFetched(f"“{host}” is not on the public internet.", "Paste the page’s source instead.")
    return addresses


@contextmanager
def _connected(parts: SplitResult, guard: Guard, until: float) -> Iterator[HTTPConnection]:
    """Connect to one of the addresses that were checked, and to nothing else."""
    host = _host(parts)
    connection = HTTPConnection(host, _port(parts))
    raw = _socket(_addresses(parts, guard, until)[:MOST_TRIED], _port(parts), guard, until)
    try:
        if parts.scheme == "https":
            raw.settimeout(_left(until))
            connection.sock = guard.tls.wrap_socket(raw, server_hostname=host)
        else:
            connection.sock = raw
        yield connection
    except ssl.SSLError as error:
        raise PageNotFetched(f"“{host}” has no valid certificate, so it may be anybody.") from error
    except (OSError, HTTPException) as error:
        raise (_late(host) if time.monotonic() >= until else _broken(host)) from error
    finally:
        connection.close()
        raw.close()


def _socket(addresses: Sequence[Address], port: int, guard: Guard, until: float) -> socket.socket:
    for address in addresses:
        try:
            made = socket.create_connection((str(address), port), timeout=_left(until))
        except OSError:
            continue
        # The address connected to, not the one asked for, is what counts.
        if guard.may_reach(ip_address(str(made.getpeername()[0]))):
            return made
        made.close()
    raise PageNotFetched("Its server cannot be reached.")


def _left(until: float) -> float:
    return max(0.001, until - time.monotonic())


def _late(host: str) -> PageNotFetched:
    return PageNotFetched(f"“{host}” takes too long to answer.", "Paste the page’s source instead.")


def _broken(host: str) -> PageNotFetched:
    return PageNotFetched(f"“{host}” broke off before it had answered.", "Try again, or paste the page’s source.")


@contextmanager
def _in_time(connection: HTTPConnection, until: float) -> Iterator[None]:
    """Cut the connection when time is up: a server that sends a byte now and then outlasts every other timeout."""
    held: socket.socket = connection.sock
    is_over = threading.Event()

    def cut() -> None:
        is_over.set()
        try:
            held.shutdown(socket.SHUT_RDWR)
        except OSError:
            held.close()

    held.settimeout(_left(until))
    timer = threading.Timer(_left(until), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except PageNotFetched as error:
        if is_over.is_set():  # what was cut in the middle may look like something else that is wrong with it
            raise _late(connection.host) from error
        raise
    finally:
        timer.cancel()
    if is_over.is_set():
        raise _late(connection.host)


# --- the answer -----------------------------------------------------------------------------------------------------


def _refuse_unless_page(response: HTTPResponse) -> None:
    if response.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        raise PageNotFetched("The page’s server says that there is no such page.")
    if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}:
        raise PageNotFetched("The page’s server does not let us see it. Paste its source instead.")
    if response.status != HTTPStatus.OK:
        raise PageNotFetched("The page’s server has a fault of its own at the moment. Try again, or paste the source.")
    kind = response.getheader("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in PAGES:
        raise PageNotFetched(f"At that address there is no web page, but {kind or 'something that has no name'}.")


def _body(response: HTTPResponse, most: int) -> bytes:
    packing = response.getheader("Content-Encoding", "identity").strip().lower()
    if packing not in {"identity", "", "gzip", "x-gzip", "deflate"}:
        raise PageNotFetched("The page’s server sends it packed in a way that was not asked for. Paste its source.")
    unpacker = zlib.decompressobj(GZIP_OR_ZLIB) if packing not in {"identity", ""} else None
    parts, size = [], 0
    try:
        while chunk := response.read(CHUNK_BYTES):
            # Unpacked, a chunk may be a thousand times as long: no more of it is made than is taken.
            part = unpacker.decompress(chunk, most + 1 - size) if unpacker else chunk
            size += len(part)
            if size > most:
                raise PageNotFetched(f"The page is larger than {most // 1_000_000} MB.")
            parts.append(part)
    except zlib.error as error:
        raise PageNotFetched("The page arrived damaged. Try again, or paste its source.") from error
    if response.length or (unpacker and not unpacker.eof):
        raise PageNotFetched("The page’s server broke off in the middle. Try again, or paste the page’s source.")
    return b"".join(parts)
