"""What a browser is asked about a page, and what it says: the seam between who wants to know and chromium.py.

    Visit + fetch ──LookAt──▶ Look: faults, pictures, what was tried

Nothing here needs a browser, so what only shows results can be imported at no cost.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from variants.page_health import Fault


class BrowserFailed(Exception):
    """The browser could not look at the page; the message says why, for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of the page."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes


type Fetch = Callable[[Asked], Answered]  # quick, and without the database: it is called on the browser's thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A page to look at, and what to try on it."""

    address: str
    thanks: str = ""  # address of the page after the form
    button: str = ""  # CSS selector of its calls to action; one of them must be seen without scrolling
    presses: Mapping[str, str] = field(default_factory=dict)  # name → CSS selector of a link, button or form
    form: str = ""  # CSS selector of the form that is filled in and sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    faults: tuple[Fault, ...]
    pictures: Mapping[int, bytes]  # PNG by width
    pressed: frozenset[str]  # names of presses whose place was found


type LookAt = Callable[[Visit, Fetch], Look]  # raises BrowserFailed


def find_chromium(setting: str = "") -> str:
    """Return the path of a Chromium that is installed; empty if there is none."""
    names = (setting,) if setting else ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), "")
