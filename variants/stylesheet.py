"""Turn a layout, a palette and a type pairing into one style sheet, from the files in templates/pages/css."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from variants.colours import Surface, palette_of
from variants.content import Palette, Typography

CSS: Final = Path(__file__).resolve().parent.parent / "templates" / "pages" / "css"

_SANS: Final = '"Helvetica Neue",Inter,"Segoe UI",system-ui,Roboto,Arial,sans-serif'
_SERIF: Final = '"Iowan Old Style","Palatino Linotype","URW Palladio L",P052,Charter,Georgia,serif'
_HUMANIST: Final = 'Seravek,"Gill Sans Nova",Optima,Candara,Ubuntu,"Noto Sans","DejaVu Sans",sans-serif'
_MONO: Final = 'ui-monospace,"Cascadia Code","SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace'

# Fonts that visitors have already: display font, body font, weight, tracking, leading, and a scale that evens out
# how large a family looks at one size.
_TYPE: Final[dict[str, tuple[str, str, str, str, str, str]]] = {
    "grotesk": (_SANS, _SANS, "750", "-.03em", "1.04", "1"),
    "serif": (_SERIF, _SANS, "600", "-.015em", "1.08", "1.04"),
    "humanist": (_HUMANIST, _HUMANIST, "700", "-.015em", "1.12", ".94"),
    "mono": (_MONO, _SANS, "700", "-.05em", "1.14", ".8"),
}
_TYPE_NAMES: Final = ("display", "body", "weight", "tracking", "leading", "scale")


@functools.lru_cache(maxsize=1024)
def stylesheet(parts: tuple[str, ...], palette: Palette, typography: Typography, *, primary: str, accent: str) -> str:
    """Return the whole style sheet: tokens, what all layouts share, then the files named by `parts`."""
    colours = palette_of(palette, primary=primary, accent=accent)
    fonts = zip(_TYPE_NAMES, _TYPE[typography], strict=True)
    tokens = {f"art-{index}": colour for index, colour in enumerate(colours.art)}
    tokens |= dict(fonts) | {"mono": _MONO, "scheme": "dark" if colours.is_dark else "light"}
    rules = [
        f":root{{{_declarations(tokens)}}}",
        f":root{{{_declarations(_colour_tokens(colours.page))}}}",
        f".band{{{_declarations(_colour_tokens(colours.band))}}}",
        f".on-hero{{{_declarations(_colour_tokens(colours.hero))}}}",
        f".deep{{{_declarations(_colour_tokens(colours.deep))}}}",
    ]
    return "".join([*rules, *(_css(name) for name in ("base", *parts))])


def _colour_tokens(surface: Surface) -> dict[str, str]:
    return {name.replace("_", "-"): getattr(surface, name) for name in Surface.__dataclass_fields__}


def _declarations(tokens: Mapping[str, str]) -> str:
    return ";".join(f"--{name}:{value}" for name, value in tokens.items())


@functools.cache
def _css(name: str) -> str:
    """Read a style sheet without comments and needless white space; ours are written so that this is safe."""
    source = (CSS / f"{name}.css").read_text("utf-8")
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    source = re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", source))
    return source.replace(": ", ":").replace(";}", "}").strip()
