"""Reports and counts made by hand, with defaults for what a test does not care about."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import F
from django.utils import timezone

from experiments.models import EXPOSURES, Arm, EpochCount, Experiment
from experiments.reporting.values import ArmReport, Moment, Report, SampleRatioReport, VerdictReport
from tests.factories import make_running

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


def count(arm: Arm, measure: str, number: int) -> None:
    """Add to what is counted in the first epoch."""
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    row, _ = EpochCount.objects.get_or_create(arm=arm, epoch=1, hour=hour, measure=measure, defaults={"count": 0})
    EpochCount.objects.filter(pk=row.pk).update(count=F("count") + number)
