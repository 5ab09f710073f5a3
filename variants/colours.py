"""Turn two colours of a brand, or a palette's name, into colours that can be read on each other.

Colours live on four surfaces: the page itself, a band that sets a section apart, the hero, and a deep one for
emphasis. Each text colour is moved towards black or white until WCAG 2.2 (1.4.3, 1.4.11) is met on its surface.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from variants.content import Palette

TEXT_CONTRAST: Final = 4.5  # WCAG 2.2, 1.4.3, for text of any size
PART_CONTRAST: Final = 3.0  # WCAG 2.2, 1.4.11, for the edges of fields and buttons


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """Colours that belong together: all text colours are readable on the ground and on the panels lying on it."""

    ground: str
    panel: str
    text: str
    muted: str
    accent: str
    danger: str  # of errors in a form
    line: str  # decoration only
    edge: str  # of fields
    field: str  # what one types on
    button: str
    button_hover: str
    button_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    page: Surface
    band: Surface
    hero: Surface
    deep: Surface
    art: tuple[str, str, str, str]

    @property
    def is_dark(self) -> bool:
        return luminance(self.page.ground) < luminance(self.page.text)


def luminance(colour: str) -> float:
    """Return the relative luminance, 0 to 1 (WCAG 2.2, "relative luminance")."""
    return sum(
        weight * _linear(channel) for weight, channel in zip((0.2126, 0.7152, 0.0722), _channels(colour), strict=True)
    )


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def mix(one: str, other: str, share: float) -> str:
    """Return `one` with a share of `other`, 0 to 1, in sRGB."""
    pairs = zip(_channels(one), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def readable(colour: str, grounds: Iterable[str], *, minimum: float = TEXT_CONTRAST) -> str:
    """Move a colour towards black or white, in steps of 2%, until it stands out from all grounds."""
    grounds = tuple(grounds)

    def worst(candidate: str) -> float:
        return min(contrast(candidate, ground) for ground in grounds)

    end = max(("#000000", "#ffffff"), key=worst)
    steps = (mix(colour, end, step / 50) for step in range(51))
    return next((candidate for candidate in steps if worst(candidate) >= minimum), end)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _linear(channel: int) -> float:
    value = channel / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4  # noqa: PLR2004 (sRGB's own curve)


def _surface(ground: str, panel: str, ink: str, accent: str, button: str) -> Surface:
    grounds = (ground, panel)
    text = readable(ink, grounds, minimum=7)
    filled = readable(button, grounds, minimum=PART_CONTRAST)
    on_filled = (
        "#ffffff" if contrast("#ffffff", filled) >= TEXT_CONTRAST else readable(mix(filled, "#000000", 0.86), [filled])
    )
    pressed = mix(filled, "#000000" if on_filled == "#ffffff" else "#ffffff", 0.14)
    return Surface(
        ground=ground,
        panel=panel,
        text=text,
        muted=readable(mix(text, ground, 0.34), grounds),
        accent=readable(accent, grounds),
        danger=readable("#c2261f", grounds),
        line=mix(ground, text, 0.14),
        edge=readable(mix(ground, text, 0.4), grounds, minimum=PART_CONTRAST),
        # Lighter than its surroundings on paper, darker at night: either way it reads as a place to write.
        field=ground if luminance(ground) < luminance(text) else max(grounds, key=luminance),
        button=filled,
        button_hover=pressed,
        button_text=on_filled,
    )


def _brand_colours(primary: str, accent: str) -> Colours:
    white, ink = "#ffffff", mix("#0e1014", primary, 0.1)
    deep = readable(mix(primary, "#000000", 0.25), [white], minimum=9)
    return Colours(
        page=_surface(white, mix(white, primary, 0.03), ink, primary, primary),
        band=_surface(mix(white, primary, 0.06), white, ink, primary, primary),
        hero=_surface(mix(white, primary, 0.1), white, ink, primary, primary),
        deep=_surface(deep, mix(deep, white, 0.08), white, mix(accent, white, 0.35), accent),
        art=(primary, accent, mix(white, primary, 0.3), deep),
    )


# Per palette: ground, panel, ink, accent, button of the page, the band, the hero and the deep surface; then the art.
_PALETTES: Final[dict[str, tuple[str, str, str, str, str]]] = {
    "ink": (
        "#0f1114 #191c21 #f1eee7 #f0b429 #f0b429",
        "#16191e #1f2329 #f1eee7 #f0b429 #f0b429",
        "#0a0b0d #16191e #f6f3ec #f0b429 #f0b429",
        "#f1eee7 #ffffff #14161a #7a5200 #14161a",
        "#f0b429 #f1eee7 #2c3139 #6b717c",
    ),
    "forest": (
        "#faf9f4 #ffffff #17251d #1f6b45 #1f6b45",
        "#eef0e5 #fbfbf6 #17251d #1f6b45 #1f6b45",
        "#dfe8d3 #f7f9f0 #12261a #1a5c3a #1a5c3a",
        "#12372a #1a4637 #f4f6ee #c5dd7c #c5dd7c",
        "#1f6b45 #c5dd7c #12372a #8fb58b",
    ),
    "dusk": (
        "#17132b #221c3d #f2eefb #ffb08a #ff9b73",
        "#1e1937 #2a2349 #f2eefb #ffb08a #ff9b73",
        "#120e24 #1e1836 #f7f4fd #ffb08a #ff9b73",
        "#ff9b73 #ffb595 #1a1230 #4a1030 #1a1230",
        "#ff9b73 #6d5bd0 #2f2757 #f6c6ea",
    ),
    "clay": (
        "#fcf8f2 #fffdfa #2d1f18 #a8421f #b4472a",
        "#f4e9dc #fffaf3 #2d1f18 #a03e1d #b4472a",
        "#f0dfcd #fff8ef #2b1c15 #973918 #b4472a",
        "#3a221a #4a2e24 #fbeee2 #f2a97e #f2a97e",
        "#b4472a #e8a87c #3a221a #d9bfa3",
    ),
    "ocean": (
        "#ffffff #f5f9fb #0c2330 #0b6580 #0b6e8a",
        "#eaf3f7 #ffffff #0c2330 #0b6580 #0b6e8a",
        "#06283d #0d3650 #eaf6fb #6fdcec #6fdcec",
        "#0a4258 #10526c #eaf6fb #8be3ef #8be3ef",
        "#6fdcec #0b6e8a #134a68 #f4c95d",
    ),
}  # fmt: skip


@functools.lru_cache(maxsize=256)
def palette_of(name: Palette, *, primary: str, accent: str) -> Colours:
    """Return a palette's colours; the brand's two count only in the palette "brand"."""
    if name == "brand":
        return _brand_colours(primary.lower(), accent.lower())
    page, band, hero, deep, art_colours = (row.split() for row in _PALETTES[name])
    first, second, third, fourth = art_colours
    return Colours(
        page=_surface(*page),
        band=_surface(*band),
        hero=_surface(*hero),
        deep=_surface(*deep),
        art=(first, second, third, fourth),
    )
