"""The arms of an experiment that runs, as a table: who gets how many visitors, and what may be done with each."""

from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import Sum
from django.utils import timezone

from experiments import lifecycle
from experiments.console.previews import LIFE, preview_url
from experiments.models import EXPOSURES, Arm, EpochCount, Experiment

ARMS_PER_PAGE: Final = 20
# Of 500 arms, what pages say would be most of the work.
OF_ROWS: Final = (
    "key", "status", "experiment", "variant__name", "variant__is_control", "variant__misfit", "successor__name",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRow:
    """An arm as a line of the workbench."""

    id: int
    variant: int
    name: str
    is_control: bool
    share: float | None  # of new visitors; None where shares do not tell
    visitors: int
    conversions: int
    note: str
    preview: str
    may_retire: bool
    waits: bool

    @property
    def rate(self) -> float | None:
        return self.conversions / self.visitors if self.visitors else None


def arms(experiment: Experiment, number: str | None) -> dict[str, Any]:
    """Return a page of the arms that visitors see or will see, the largest share first, in four queries."""
    if experiment.status not in lifecycle.GOING:
        return {"arms": None}
    allocation = experiment.allocations.last()
    shares = allocation.shares if allocation else {}
    shown = experiment.arms.filter(status__in=[Arm.Status.LIVE, Arm.Status.WAITING])
    found = sorted(
        shown.select_related("variant", "successor").only(*OF_ROWS),
        key=lambda arm: (arm.status != Arm.Status.LIVE, not arm.is_control, -shares.get(arm.key, 0.0), arm.pk),
    )
    page: Page[Arm] = Paginator(found, ARMS_PER_PAGE).get_page(number)
    counts = _counts(experiment, list(page))
    others = sum(arm.status == Arm.Status.LIVE and not arm.is_control for arm in found)
    is_shared = experiment.status == Experiment.Status.RUNNING
    rows = [_row(experiment, arm, counts, shares if is_shared else {}, others) for arm in page]
    return {"arms": rows, "arm_page": page, "previews_until": previews_until()}


def previews_until() -> str:
    """Say until when a preview link that is made now works."""
    until = timezone.now() + LIFE
    return f"{until:%A}, {until.day} {until:%B}"


def _counts(experiment: Experiment, found: list[Arm]) -> dict[tuple[int, bool], int]:
    deciding = next((goal.key for goal in experiment.goals.all() if goal.is_primary), "")
    counted = EpochCount.objects.filter(arm__in=[arm.pk for arm in found], measure__in=[EXPOSURES, deciding])
    rows = counted.order_by().values_list("arm_id", "measure").annotate(Sum("count"))
    return {(arm, measure == EXPOSURES): number for arm, measure, number in rows}


def _row(
    experiment: Experiment, arm: Arm, counts: dict[tuple[int, bool], int], shares: dict[str, float], others: int
) -> ArmRow:
    is_live = arm.status == Arm.Status.LIVE
    in_proof = experiment.proof_arm_id == arm.pk
    return ArmRow(
        id=arm.pk,
        variant=arm.variant_id,
        name=arm.variant.name,
        is_control=arm.is_control,
        share=shares.get(arm.key) if is_live else None,
        visitors=counts.get((arm.pk, True), 0),
        conversions=counts.get((arm.pk, False), 0),
        note=_note(arm, is_live=is_live),
        preview=f"{settings.PUBLIC_URL}{preview_url(experiment, arm.variant_id)}",
        may_retire=not arm.is_control and not in_proof and (not is_live or others > 1),
        waits=not is_live,
    )


def _note(arm: Arm, *, is_live: bool) -> str:
    if arm.successor is not None:
        return f"retires once “{arm.successor}” is live"
    if misfit := arm.variant.misfit:
        what = f"no longer matches the brief: {misfit}"
        return what if is_live else f"is held back: it {what}"
    return "" if is_live else "waits its turn"
