"""Turn shapes into SVG text, everything escaped: a name that is hostile stays a name.

No style attributes, which the site's content security policy refuses: classes, coloured by the report's stylesheet.
"""

import html
import re
from collections.abc import Iterable

type Point = tuple[float, float]

# What XML 1.0 cannot hold, however it is escaped.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def escaped(text: str) -> str:
    return html.escape(_NOT_IN_XML.sub("\ufffd", text))


def tag(name: str, *children: str, **attributes: str | float) -> str:
    """Return an element; `class_` becomes class, underscores hyphens, and numbers lose needless digits."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    if not children:
        return f"<{name}{written}/>"
    return f"<{name}{written}>{''.join(children)}</{name}>"


def words(text: str, x: float, y: float, class_: str = "", anchor: str = "start") -> str:
    return tag("text", escaped(text), x=x, y=y, class_=f"word {class_}".strip(), text_anchor=anchor)


def line(start: Point, end: Point, class_: str) -> str:
    return tag("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def path(points: Iterable[Point], class_: str, *, closed: bool = False) -> str:
    drawn = "M" + "L".join(f"{_value(x)} {_value(y)}" for x, y in points) + ("Z" if closed else "")
    return tag("path", d=drawn, class_=class_)


def picture(*children: str, name: str, size: tuple[float, float], title: str, description: str, class_: str) -> str:
    """Return a whole drawing that a screen reader announces by its title and description."""
    return tag(
        "svg",
        tag("title", escaped(title), id=f"{name}-title"),
        tag("desc", escaped(description), id=f"{name}-description"),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_value(size[0])} {_value(size[1])}",
        role="img",
        aria_labelledby=f"{name}-title {name}-description",
        class_=class_,
    )


def _value(value: str | float) -> str:
    """A tenth of a unit is finer than any screen; more digits would only make the page longer."""
    return escaped(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
