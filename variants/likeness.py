"""How alike the pages of a nursery are: how many different ones it holds, and which one a new page repeats."""

from dataclasses import dataclass
from typing import Final

from variants import novelty
from variants.content import PageContent
from variants.gates import Finding
from variants.models import Nursery, Variant
from variants.outline import PageText, outline_from_json
from variants.patches import PatchContent

NOVELTY: Final = "novelty"  # the gate of the remarks made here


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The pages of a nursery beside each other; rejected ones are left out."""

    variants: tuple[Variant, ...]
    alike: novelty.Floats  # (pages, pages)
    leaders: tuple[int, ...]  # of each page the position of the first one that it repeats, or its own

    @property
    def distinct(self) -> int:
        return len(set(self.leaders))


class Prints:
    """Fingerprints of a nursery's variants; reads each imported page once."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self._texts: dict[int, tuple[PageText, ...]] = {}

    def of(self, content: PageContent | PatchContent) -> novelty.Fingerprint:
        return novelty.fingerprint_of(self.told(content))

    def told(self, content: PageContent | PatchContent) -> novelty.Told:
        if isinstance(content, PageContent):
            return novelty.told(content)
        return novelty.told_by_patch(content, self._page(content.page))

    def _page(self, pk: int) -> tuple[PageText, ...]:
        if pk not in self._texts:
            kept = self._nursery.imported_pages.only("outline").get(pk=pk)
            self._texts[pk] = outline_from_json(kept.outline).texts
        return self._texts[pk]


def look_at(nursery: Nursery) -> Look:
    """Compare all pages of a nursery."""
    variants = tuple(nursery.variants.exclude(status=Variant.Status.REJECTED))
    prints = Prints(nursery)
    alike = novelty.matrix(
        [prints.of(variant.typed) for variant in variants], about=novelty.about(nursery.brief.spec())
    )
    return Look(variants=variants, alike=alike, leaders=tuple(novelty.groups(alike)))


def repeat_of(page: PageContent | PatchContent, nursery: Nursery, *, besides: int = 0) -> list[Finding]:
    """Return a remark when the page says what another says already; `besides` is the variant that it becomes."""
    others = list(nursery.variants.exclude(pk=besides))
    prints = Prints(nursery)
    known = novelty.PageSet([prints.of(variant.typed) for variant in others], about=novelty.about(nursery.brief.spec()))
    nearest = known.nearest(prints.of(page))
    if nearest is None or not nearest.is_repeat:
        return []
    twin = others[nearest.position]
    reason = (
        f"says much the same as “{twin.name}” (variant {twin.number}). Two pages that say the same share visitors and "
        "teach little: give this one another promise or another proof, or keep only one of them."
    )
    field = "sections.0.headline" if isinstance(page, PageContent) else ""
    return [Finding(gate=NOVELTY, field=field, words=page.headline, reason=reason, blocks=False)]
