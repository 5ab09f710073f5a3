"""Reports and counts made by hand, with defaults for what a test does not care about."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F
from django.utils import timezone

from experiments import breakdown
from experiments.models import EXPOSURES, Arm, Conversion, EpochCount, Experiment, Exposure, Goal
from experiments.reporting.values import ArmReport, Moment, Report, SampleRatioReport, VerdictReport
from tests.factories import make_running, page
from variants.models import Variant

START = datetime(2030, 5, 1, 8, 0, tzinfo=UTC)


def make_arm(key: str = "v2", **changes: Any) -> ArmReport:
    values: dict[str, Any] = {
        "name": key, "is_control": key == "control", "status": "live", "share": 0.5, "exposures": 5000,
        "conversions": 200, "value": 0.0, "rate": 0.04, "rate_interval": (0.035, 0.046), "probability_best": 0.9,
        "expected_loss": 0.0, "lift": 0.3, "lift_interval": (0.1, 0.5), "lift_raw": 0.33, "is_better": False,
        "goals": {"signup": 200},
        "goal_values": {}, "genes": {"angle": "speed"},
    }  # fmt: skip
    if key == "control":
        values |= {"lift": None, "lift_interval": None, "lift_raw": None, "probability_best": 0.1, "name": "Ours"}
    return ArmReport(key=key, **(values | changes))


def make_report(arms: Sequence[ArmReport], **changes: Any) -> Report:
    shares = {arm.key: 1 / len(arms) for arm in arms}
    moments = [
        Moment(
            at=START + timedelta(hours=hour),
            epoch=hour + 1,
            shares=shares,
            counts={arm.key: [arm.exposures * hour // 8, arm.conversions * hour // 8] for arm in arms},
            reason="",
        )
        for hour in range(8)
    ]
    values: dict[str, Any] = {
        "experiment_id": 1, "name": "Archive guide", "slug": "archive", "status": "running", "policy": "earn",
        "goal": "signup", "epoch": 8, "generated_at": START + timedelta(hours=8), "started_at": START,
        "counted_until": START + timedelta(hours=8), "delays": [],
        "finished_at": None, "arms": arms, "waiting": 0, "sample_ratio": SampleRatioReport(p_value=0.5, ok=True),
        "verdict": VerdictReport(state="leaning", text="It leans."), "history": moments, "not_counted": {}, "leads": 0,
    }  # fmt: skip
    return Report(**(values | changes))


def make_counted(counts: Sequence[tuple[int, int]], **changes: Any) -> Experiment:
    """Return a running experiment whose arms, the control first, have these (exposures, conversions)."""
    experiment = make_running(arms=len(counts), **changes)
    for arm, (exposures, conversions) in zip(experiment.arms.order_by("variant__number"), counts, strict=True):
        count(arm, EXPOSURES, exposures)
        count(arm, "signup", conversions)
    return experiment


def hour_of(experiment: Experiment) -> datetime:
    """Return the hour in which all is counted: this one, even if it ends while a test goes on."""
    first = EpochCount.objects.filter(arm__experiment=experiment).order_by("pk").first()
    return first.hour if first else timezone.now().replace(minute=0, second=0, microsecond=0)


def count(arm: Arm, measure: str, number: int, *, epoch: int = 1) -> None:
    """Add to what is counted in an epoch."""
    hour = hour_of(arm.experiment)
    row, _ = EpochCount.objects.get_or_create(arm=arm, epoch=epoch, hour=hour, measure=measure, defaults={"count": 0})
    EpochCount.objects.filter(pk=row.pk).update(count=F("count") + number)


def make_reasoned(**changes: Any) -> Experiment:
    """Return an experiment of seven pages of two layouts, whose visitors' rows are there and broken down."""
    numbers = [(2000, 60), *[(2000, 90 - 10 * (number % 2)) for number in range(6)]]
    experiment = make_counted(numbers, **changes)
    variants = list(experiment.nursery.variants.order_by("number"))
    for variant in variants:
        variant.content = page(f"Headline {variant.number}", layout="split" if variant.number % 2 else "ledger")
    Variant.objects.bulk_update(variants, ["content"])
    goal, hour = experiment.goals.get(), hour_of(experiment)
    for arm, (_, converted) in zip(experiment.arms.order_by("variant__number"), numbers, strict=True):
        make_visitors(arm, goal, hour, 300, converted // 5, {"device": "phone", "utm_source": "mail"})
        make_visitors(arm, goal, hour, 200, converted // 8, {"device": "desktop", "country": "DE"})
    breakdown.renew(experiment, timezone.now())
    return experiment


def make_visitors(arm: Arm, goal: Goal, hour: datetime, shown: int, converted: int, attributes: dict[str, str]) -> None:
    """Put visitors' rows in, some of them converted."""
    common = {"experiment": arm.experiment, "arm": arm, "epoch": 1}
    ids = [f"{arm.pk:08x}{attributes['device'][0].encode().hex()}{number:022x}" for number in range(shown)]
    Exposure.objects.bulk_create(
        Exposure(exposed_at=hour, visitor=visitor, attributes=attributes, **common) for visitor in ids
    )
    Conversion.objects.bulk_create(
        Conversion(exposed_at=hour, visitor=visitor, goal=goal, converted_at=hour, **common)
        for visitor in ids[:converted]
    )
