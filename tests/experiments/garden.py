"""An experiment whose pages can breed: whole pages of the offline twin, live and counted, with breeding switched on."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from experiments import walls
from experiments.demo import sample
from experiments.models import EXPOSURES, Allocation, Arm, Experiment, Goal
from experiments.walls import Walls
from tests.experiments.reporting.made import count
from variants.directions import of_angles, turn_for
from variants.models import Brand, Brief, Direction, Nursery, PageCheck, Variant
from variants.offline import compose

# What is bred is drawn by the experiment's number. Given by the database it would be another one whenever other tests
# ran before, and with it the children.
NUMBER = 1_000_000

# The control first: pages that differ enough for the policy to have something to breed from.
COUNTS = ((4000, 160), (4000, 240), (4000, 220), (4000, 150), (4000, 130), (4000, 180))


def make_garden(
    counts: Sequence[tuple[int, int]] = COUNTS, *, is_on: bool = True, set_walls: Walls | None = None, **changes: Any
) -> Experiment:
    """Return a running experiment whose arms, the control first, have these (exposures, conversions)."""
    brief = Brief(brand=Brand.objects.create(**sample.BRAND))
    brief.take(sample.BRIEF)
    brief.save()
    nursery = Nursery.objects.create(brief=brief)
    values = {
        "name": "Archive guide",
        "slug": f"garden-{nursery.pk}",
        "has_arm_budget": False,
        "visitors_per_day": 5000,
    }
    number = NUMBER + Experiment.objects.filter(pk__gte=NUMBER).count()
    experiment = Experiment.objects.create(pk=number, nursery=nursery, **(values | changes))
    Goal.objects.create(experiment=experiment, key="signup", is_primary=True)
    specs = of_angles(sample.BRIEF)
    directions = [
        Direction.objects.create(nursery=nursery, number=number, angle=spec.angle)
        for number, spec in enumerate(specs, start=1)
    ]
    for place in range(len(counts)):
        turn = turn_for(specs, place)
        content = compose(sample.BRIEF, turn, brand=sample.BRAND["name"]) if place else sample.CONTROL
        _plant(experiment, place, content, directions[turn.position] if place else None)
    _open(experiment, counts)
    walls.move(experiment, set_walls or Walls(is_autopilot=True), by=None)
    if is_on:
        walls.switch_on(experiment, by=None)
    experiment.refresh_from_db()
    return experiment


def look_at_children(experiment: Experiment) -> None:
    """Do what a worker with a browser does: find nothing wrong with any page."""
    for variant in experiment.nursery.variants.filter(page_check=None):
        now = timezone.now()
        PageCheck.objects.create(variant=variant, outcome=PageCheck.Outcome.BROWSER, taken_at=now, looked_at=now)


def _plant(experiment: Experiment, place: int, content: Any, direction: Direction | None) -> None:
    variant = Variant.objects.create(
        nursery=experiment.nursery,
        number=place + 1,
        name=f"Page {place + 1}",
        content=content.model_dump(mode="json"),
        is_control=place == 0,
        status=Variant.Status.APPROVED,
        origin=Variant.Origin.OFFLINE if place else Variant.Origin.HAND,
        direction=direction,
    )
    key = "control" if place == 0 else f"v{place + 1}"
    Arm.objects.create(experiment=experiment, variant=variant, key=key, status=Arm.Status.LIVE)


def _open(experiment: Experiment, counts: Sequence[tuple[int, int]]) -> None:
    arms = list(experiment.arms.order_by("variant__number"))
    shares = {arm.key: 1 / len(arms) for arm in arms}
    Allocation.objects.create(experiment=experiment, epoch=1, shares=shares, reason="started with equal shares")
    Experiment.objects.filter(pk=experiment.pk).update(status=Experiment.Status.RUNNING, started_at=timezone.now())
    for arm, (exposures, conversions) in zip(arms, counts, strict=True):
        count(arm, EXPOSURES, exposures)
        count(arm, "signup", conversions)
