"""Turn an experiment's variants into the cards of its workbench: what each says, how it stands, what it earned."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from django.core.paginator import Paginator
from django.db.models import Count, QuerySet, Sum

from experiments.console.browse import browse, wanted
from experiments.console.overview import OVER, seen_by_all
from experiments.console.previews import preview_url
from experiments.console.texts import PLACE_WORDS, Remark, Text, remark_of
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment
from variants import review
from variants.console.thumbnails import DESKTOP, PHONE, thumbnail_urls
from variants.models import Variant
from variants.patches import is_patch

CARDS_PER_PAGE: Final = 48  # of the gallery: whole rows of two, three and four
CARDS_BESIDE: Final = 12  # under the table of arms, which names them all
# What a card of one of our own pages shows in full, to be changed in place; an imported page shows its headline.
SHOWN: Final = (
    ("sections.0.headline", "Headline"),
    ("sections.0.subheadline", "Text below the headline"),
    ("sections.0.call_to_action", "Button"),
)
ARM_WORDS = {
    "live": "live", "held": "waits for the proof round", "waiting": "waits its turn", "retired": "retired",
    "paused": "stopped",
    "all": "everyone sees it", "none": "no longer shown", "never": "was never shown",
}  # fmt: skip


# Of 500 variants, what pages say would be most of the work of putting them in order.
OF_ORDER: Final = ("number", "status", "is_control", "arm__key", "arm__status")
LEFT = frozenset({"retired", "paused"})  # of ARM_WORDS: gets no new visitors any more
RETIRABLE = frozenset({"live", "held", "waiting"})
GROUPS = ("control", "live", "held", "to come", "rejected", "left")  # of the gallery, once the experiment runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What in the brief covers a claim of the page, for a reader."""

    where: str
    words: str
    fact: str  # such as "fact 3"
    text: str  # what stands there


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A variant in the gallery."""

    id: int
    number: int
    name: str
    status: str  # of the review: draft, approved, rejected
    mark: str  # of its content as it is shown
    is_control: bool
    origin: str
    headline: str
    texts: tuple[Text, ...]  # to be changed in place
    angle: str
    remarks: tuple[Remark, ...]
    traces: tuple[Trace, ...]
    preview: str
    picture: str = ""  # the address of one of its first screen on a computer; empty where there is none yet
    phone_picture: str = ""
    arm: str = ""  # how it is shown, if the experiment has started with it: a key of ARM_WORDS
    arm_words: str = ""
    share: float | None = None
    visitors: int = 0
    conversions: int = 0
    misfit: str = ""  # of an approved one: what the brief does not cover any more
    retirable: int | None = None  # the arm that a person may send no more new visitors to

    @property
    def rate(self) -> float | None:
        return self.conversions / self.visitors if self.visitors else None

    @property
    def is_left(self) -> bool:
        """Whether new visitors are not sent to it any more: such cards are folded away."""
        return self.arm in LEFT

    @property
    def is_blocked(self) -> bool:
        return any(remark.blocks for remark in self.remarks)


def in_order(experiment: Experiment, variants: QuerySet[Variant]) -> list[int]:
    """Return the ids of the variants as the gallery shows them.

    Before the start as they were made; then the control, the others that are live, the best first, those to look at,
    and last those that left.
    """
    if experiment.status == Experiment.Status.DRAFT:
        return list(variants.values_list("pk", flat=True))
    latest = experiment.allocations.exclude(probability_best={}).last()
    best = latest.probability_best if latest else {}
    counts = _counts(experiment)

    def place(variant: Variant) -> tuple[int, float, float, int]:
        arm: Arm | None = getattr(variant, "arm", None)
        visitors, reached = (counts.get((arm.pk, what), 0) for what in (True, False)) if arm else (0, 0)
        probability = best.get(arm.key, 0.0) if arm else 0.0
        return _group(experiment, variant, arm), -probability, -reached / max(visitors, 1), variant.number

    return [variant.pk for variant in sorted(variants.select_related("arm").only(*OF_ORDER), key=place)]


def _group(experiment: Experiment, variant: Variant, arm: Arm | None) -> int:
    """Return where in the gallery a variant stands once the experiment has started."""
    if arm is not None and arm.status in LEFT:
        return GROUPS.index("left")
    if arm is None and variant.status == Variant.Status.REJECTED:
        return GROUPS.index("rejected")
    if variant.is_control:
        return GROUPS.index("control")
    if arm is None or arm.status == Arm.Status.WAITING:
        return GROUPS.index("to come")
    return GROUPS.index("held" if _is_held(experiment, arm) else "live")


def _is_held(experiment: Experiment, arm: Arm) -> bool:
    """Whether new visitors do not see a live arm because of a proof round of another."""
    in_proof = experiment.proof_arm_id is not None and experiment.status == Experiment.Status.RUNNING
    return in_proof and arm.status == Arm.Status.LIVE and not arm.is_control and arm.pk != experiment.proof_arm_id


def cards(experiment: Experiment, variants: QuerySet[Variant]) -> list[Card]:
    """Return the cards of some of an experiment's variants, in six queries however many they are."""
    found = list(variants.select_related("arm"))
    counts = _counts(experiment, of=[variant.arm.pk for variant in found if hasattr(variant, "arm")])
    allocation = experiment.allocations.last()
    # Shares tell about new visitors; while it is paused, and once it is over, they go by none.
    shares = allocation.shares if allocation and experiment.status == Experiment.Status.RUNNING else {}
    shown = seen_by_all(experiment) if experiment.status in OVER else None
    made = [_card(experiment, variant, counts, shares, shown) for variant in found]
    wide, narrow = (thumbnail_urls([card.id for card in made], width) for width in (DESKTOP, PHONE))
    return [replace(card, picture=wide.get(card.id, ""), phone_picture=narrow.get(card.id, "")) for card in made]


def _shown(experiment: Experiment, arm: Arm | None, seen_by_all: Variant | None) -> str:
    """Return how visitors meet an arm, as a key of ARM_WORDS."""
    if arm is None:
        return ""
    if seen_by_all is None:
        return "held" if _is_held(experiment, arm) else arm.status
    if arm.variant_id == seen_by_all.pk:
        return "all"
    return "never" if arm.status == Arm.Status.WAITING else "none"


def _card(
    experiment: Experiment,
    variant: Variant,
    counts: Mapping[tuple[int, bool], int],
    shares: Mapping[str, float],
    seen_by_all: Variant | None,
) -> Card:
    arm: Arm | None = getattr(variant, "arm", None)
    shown = _shown(experiment, arm, seen_by_all)
    remarks = tuple(remark_of(finding, variant.content) for finding in variant.findings)
    return Card(
        id=variant.pk,
        number=variant.number,
        name=variant.name,
        status=variant.status,
        mark=review.mark(variant),
        is_control=variant.is_control,
        origin=variant.get_origin_display(),
        headline=_headline(variant),
        texts=_texts(variant, remarks),
        angle=variant.content["angle"],
        remarks=remarks,
        traces=tuple(_trace(trace) for trace in variant.traces),
        preview=preview_url(experiment, variant.pk),
        arm=shown,
        arm_words=ARM_WORDS[shown] if shown else "",
        share=shares.get(arm.key) if arm else None,
        visitors=counts.get((arm.pk, True), 0) if arm else 0,
        conversions=counts.get((arm.pk, False), 0) if arm else 0,
        misfit=variant.misfit if variant.status == Variant.Status.APPROVED else "",
        retirable=arm.pk if arm and shown in RETIRABLE and not variant.is_control else None,
    )


def _texts(variant: Variant, remarks: Sequence[Remark]) -> tuple[Text, ...]:
    if is_patch(variant.content):
        return ()
    hero = variant.content["sections"][0]
    return tuple(
        Text(
            place=place,
            label=label,
            group="",
            text=str(hero[place.rpartition(".")[2]]),
            limit=None,
            remarks=tuple(remark for remark in remarks if remark.place == place),
        )
        for place, label in SHOWN
    )


def _headline(variant: Variant) -> str:
    content = variant.content
    return str(content["headline"] if is_patch(content) else content["sections"][0]["headline"])


def _counts(experiment: Experiment, *, of: Sequence[int] | None = None) -> dict[tuple[int, bool], int]:
    """Return how often each arm, or each `of` some, was seen (True) and reached the goal that decides (False)."""
    deciding = [goal.key for goal in experiment.goals.all() if goal.is_primary]
    whose = (
        EpochCount.objects.filter(arm__experiment=experiment) if of is None else EpochCount.objects.filter(arm__in=of)
    )
    counted = whose.filter(measure__in=[EXPOSURES, *deciding]).values_list("arm_id", "measure").annotate(Sum("count"))
    return {(arm, measure == EXPOSURES): number for arm, measure, number in counted}


def _trace(trace: Mapping[str, str]) -> Trace:
    *_, last = trace["field"].split(".")
    return Trace(where=PLACE_WORDS.get(last, ""), words=trace["words"], fact=trace["fact"], text=trace["text"])


def tally(experiment: Experiment) -> dict[str, int]:
    """Return how many variants stand in each status, and `all`."""
    found = Variant.objects.filter(nursery=experiment.nursery_id).order_by().values_list("status")
    numbers = dict.fromkeys(Variant.Status.values, 0) | dict(found.annotate(Count("pk")))
    return {**numbers, "all": sum(numbers.values())}


def gallery(
    experiment: Experiment, sent: Mapping[str, str], *, until: int, per_page: int = CARDS_PER_PAGE
) -> dict[str, Any]:
    """Return what the gallery shows of what an address asks for, up to the variant numbered `until`."""
    asked = wanted(sent)
    found = browse(experiment, asked)
    variants = experiment.nursery.variants.filter(pk__in=found.ids, number__lte=until)
    page = Paginator(in_order(experiment, variants), per_page).get_page(sent.get("page"))
    made = {card.id: card for card in cards(experiment, variants.filter(pk__in=list(page)))}
    picked = [made[pk] for pk in page if pk in made]
    return {
        "cards": [card for card in picked if not card.is_left],
        "left": [card for card in picked if card.is_left],
        "page": page,
        "asked": asked,
        "browsed": found,
        "show": asked.show or "all",
        "after": until,
    }


def last_number(experiment: Experiment) -> int:
    return experiment.nursery.variants.order_by("-number").values_list("number", flat=True).first() or 0


DATABASE_NUMBER = re.compile(r"[0-9]{1,18}")  # 64-bit integers end in the nineteenth digit


def ids(values: Iterable[str]) -> list[int]:
    """Return the numbers among what a form sent; the rest cannot name a variant."""
    return [int(value) for value in values if DATABASE_NUMBER.fullmatch(value)]
