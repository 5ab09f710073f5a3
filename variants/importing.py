"""Make an existing page the control of an experiment: read it, say what was found, and keep it as it will be served.

    bytes ──▶ Reading: the page, and what its owner should know ──▶ ImportedPage, and a Variant that changes nothing

Whatever is sent here may be hostile, broken or no page at all. Each such thing ends in CannotImport with a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.db import transaction
from pydantic import TypeAdapter, ValidationError

from variants import review
from variants.charsets import Decoded, NotText, decoded, encoded
from variants.disarm import CannotDisarm, disarmed
from variants.imported import Import
from variants.mapping import mapped
from variants.markup import Tag, TooManyTags, items_of
from variants.models import ImportedPage, Nursery, Variant
from variants.outline import MOST_TEXTS, PageText, outline_as_json, outline_from_json, outline_of
from variants.rewriting import Original
from variants.text import Link

MOST_BYTES: Final = 10_000_000
MEGABYTE: Final = 1_000_000
ANGLE: Final = "Today's page"
_LINK: Final[TypeAdapter[str]] = TypeAdapter(Link)
_TAKEN_WORDS: Final = {
    "script": "scripts", "handler": "things that scripts did on a click or the like",
    "address": "links that were scripts", "plug-in": "plug-ins", "reload": "instructions to go elsewhere by itself",
}  # fmt: skip


class CannotImport(ValueError):
    """This cannot become a page; the message says why and what to do, for a marketer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """An imported page as it would be kept."""

    page: Import
    remarks: tuple[str, ...]


def read_page(
    data: bytes,
    *,
    address: str = "",
    content_type: str = "",
    keeps_scripts: bool = False,
    allows_others: bool = False,
) -> Reading:
    """Read a page that came from `address`. Raise CannotImport."""
    _check_size(data)
    address = _checked_address(address)
    try:
        text = decoded(data, content_type)
        source, taken = (text.text, {}) if keeps_scripts else _harmless(text.text)
        outline = outline_of(source)
    except (NotText, CannotDisarm) as error:
        raise CannotImport(str(error)) from error
    except TooManyTags as error:
        raise CannotImport(f"This is too much for a landing page: {error}.") from error
    has_tags = any(isinstance(item, Tag) for item in items_of(source))
    if not has_tags:
        raise CannotImport("This is no web page: there is no HTML in it. Paste the page’s source, not its text.")
    if not outline.texts:
        raise CannotImport(
            "No text was found on this page. Perhaps a script puts it together in the browser: open it there, save it "
            "as a web page, and import that file."
        )
    page = Import(
        source=source,
        outline=outline,
        address=address,
        keeps_scripts=keeps_scripts and outline.has_scripts,
        allows_others=allows_others,
    )
    return Reading(page=page, remarks=tuple(_remarks(page, text, taken)))


def _harmless(source: str) -> tuple[str, Mapping[str, int]]:
    found = disarmed(source)
    return found.source, found.taken


def _check_size(data: bytes) -> None:
    if len(data) > MOST_BYTES:
        size = f"{len(data) / MEGABYTE:.1f} MB"
        raise CannotImport(f"This page is {size} large; at most {MOST_BYTES // MEGABYTE} MB can be taken.")
    if not data.strip(b" \t\r\n\f\0"):
        raise CannotImport("There is nothing in this page.")


def _checked_address(address: str) -> str:
    if not address:
        return ""
    try:
        checked = _LINK.validate_python(address)
    except ValidationError as error:
        raise CannotImport(f"“{address[:80]}” is not the address of a page; start it with https://.") from error
    parts = urlsplit(checked)
    if parts.scheme not in {"http", "https"} or parts.username or parts.password:
        raise CannotImport("Give the page’s address as https://…, without a user name or password in it.")
    return checked


def _remarks(page: Import, text: Decoded, taken: Mapping[str, int]) -> list[str]:
    found = []
    if text.charset != "utf-8":
        found.append(f"The page was written in {text.charset} and is kept as UTF-8.")
    if text.strange_bytes:
        found.append(f"{text.strange_bytes} of its bytes are no letters in UTF-8. They stay as they are.")
    if taken:
        listed = ", ".join(f"{_TAKEN_WORDS[what]} ({count})" for what, count in taken.items())
        found.append(f"Taken out, because pages run no scripts here: {listed}. Parts that move or unfold may not work.")
    if others := page.outline.others(page.base or page.address):
        sites = ", ".join(others[:8]) + (f" and {len(others) - 8} more" if len(others) > 8 else "")  # noqa: PLR2004
        what = "may load" if page.allows_others else "is kept from loading"
        found.append(f"The page {what} fonts, styles, pictures or scripts from other sites: {sites}.")
    if page.base is None and page.outline.has_relative_addresses:
        found.append(
            "It names its pictures and styles relative to the address it came from. Give that address, or visitors "
            "will not see them."
        )
    if page.site.startswith("http://"):
        found.append("Its address is not encrypted (http://). On an encrypted page browsers leave such pictures out.")
    if len(page.outline.texts) >= MOST_TEXTS:
        found.append(f"It has more than {MOST_TEXTS:,} texts. The rest cannot be changed.")
    return found


def import_page(nursery: Nursery, reading: Reading, *, by: User | None, name: str = "Today’s page") -> Variant:
    """Keep a page and make it the control, in place of another if there is one. The caller knows that none is live."""
    page = reading.page
    with transaction.atomic():
        kept = ImportedPage.objects.create(
            nursery=nursery,
            address=page.address,
            source=encoded(page.source),
            outline=outline_as_json(page.outline),
            keeps_scripts=page.keeps_scripts,
            allows_others=page.allows_others,
            remarks=list(reading.remarks),
            imported_by=by,
        )
        Variant.objects.filter(nursery=nursery, is_control=True).update(is_control=False)
        content = {"kind": "patch", "page": kept.pk, "texts": {}, "angle": ANGLE}
        return review.add_variant(nursery, content, name=name, is_control=True, origin=Variant.Origin.IMPORT, by=by)


def import_of(kept: ImportedPage) -> Import:
    return Import(
        source=bytes(kept.source).decode("utf-8", "surrogateescape"),
        outline=outline_from_json(kept.outline),
        address=kept.address,
        keeps_scripts=kept.keeps_scripts,
        allows_others=kept.allows_others,
    )


def places_of(kept: ImportedPage) -> list[tuple[str, str]]:
    """Return everything on a page that can be a goal: its id, and what it is called, in words."""
    outline = outline_from_json(kept.outline)
    links = [
        (link.id, f"{'Button' if link.looks_like_button else 'Link'} “{link.label or link.address}”")
        for link in outline.links
    ]
    buttons = [(button.id, f"Button “{button.label}”") for button in outline.buttons]
    forms = [(form.id, f"Form “{form.label or ', '.join(form.fields)}”") for form in outline.forms]
    return [*forms, *links, *buttons]


def place_of(kept: ImportedPage, id_: str) -> str:
    """Return what a link, button or form is called on its page; empty if there is none of that id."""
    return dict(places_of(kept)).get(id_, "")


def pick(kept: ImportedPage, id_: str, goal: str) -> None:
    """Let `goal`, by its key, be reached by what the id stands for; an empty goal takes that back."""
    with transaction.atomic():
        # Race: two people who pick at once must not lose one another's goals.
        locked = ImportedPage.objects.select_for_update().only("goals").get(pk=kept.pk)
        goals = {place: key for place, key in locked.goals.items() if place != id_}
        kept.goals = {**goals, id_: goal} if goal else goals
        ImportedPage.objects.filter(pk=kept.pk).update(goals=kept.goals)


def original_of(nursery: Nursery) -> Original | None:
    """Return today's page where it is an imported one, served as it is: new variants then change its words."""
    control = nursery.variants.filter(is_control=True).first()
    patch = control.patch if control else None
    if patch is None:
        return None
    kept = nursery.imported_pages.only("outline").get(pk=patch.page)
    return Original(page=kept.pk, texts=review.page_texts(kept), words=patch.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    control: Variant
    remarks: tuple[str, ...]
    taken: tuple[PageText, ...]
    left: tuple[PageText, ...]


def rebuild(nursery: Nursery, reading: Reading, *, by: User | None, name: str = "Today’s page, rebuilt") -> Rebuilt:
    """Make a page of our own sections the control, with as much of the imported one's words as could be placed."""
    brief = nursery.brief.spec()
    found = mapped(
        reading.page.outline, button=brief.call_to_action.label, has_form=brief.call_to_action.kind == "form"
    )
    with transaction.atomic():
        Variant.objects.filter(nursery=nursery, is_control=True).update(is_control=False)
        try:
            control = review.add_variant(
                nursery, found.content, name=name, is_control=True, origin=Variant.Origin.IMPORT, by=by
            )
        except ValidationError as error:
            raise CannotImport("Its words do not fit our sections. Serve the page as it is instead.") from error
    counted = f"{len(found.taken)} texts were taken over and {len(found.left)} were not."
    remark = f"{counted} Look at both before you approve."
    return Rebuilt(control=control, remarks=(remark,), taken=found.taken, left=found.left)
