"""How alike the pages of a nursery are: how many different ones it holds, and which one a new page repeats."""

from dataclasses import dataclass
from typing import Final

from variants import novelty
from variants.content import PageContent
from variants.gates import Finding
from variants.models import Nursery, Variant

NOVELTY: Final = "novelty"  # the gate of the remarks made here


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The pages of a nursery beside each other; patches of imported pages and rejected pages are left out."""

    variants: tuple[Variant, ...]
    alike: novelty.Floats  # (pages, pages)
    leaders: tuple[int, ...]  # of each page the position of the first one that it repeats, or its own

    @property
    def distinct(self) -> int:
        return len(set(self.leaders))


def look_at(nursery: Nursery) -> Look:
    """Compare all pages of a nursery."""
    kept = nursery.variants.exclude(status=Variant.Status.REJECTED)
    variants = tuple(variant for variant in kept if variant.patch is None)
    prints = [novelty.fingerprint(variant.page) for variant in variants]
    alike = novelty.matrix(prints, about=novelty.about(nursery.brief.spec()))
    return Look(variants=variants, alike=alike, leaders=tuple(novelty.groups(alike)))


def repeat_of(page: PageContent, nursery: Nursery, *, besides: int = 0) -> list[Finding]:
    """Return a remark when the page says what another says already; `besides` is the variant that it becomes."""
    others = [variant for variant in nursery.variants.exclude(pk=besides) if variant.patch is None]
    known = novelty.PageSet(
        [novelty.fingerprint(variant.page) for variant in others], about=novelty.about(nursery.brief.spec())
    )
    nearest = known.nearest(novelty.fingerprint(page))
    if nearest is None or not nearest.is_repeat:
        return []
    twin = others[nearest.position]
    reason = (
        f"says much the same as “{twin.name}” (variant {twin.number}). Two pages that say the same share visitors and "
        "teach little: give this one another promise or another proof, or keep only one of them."
    )
    return [Finding(gate=NOVELTY, field="sections.0.headline", words=page.hero.headline, reason=reason, blocks=False)]
