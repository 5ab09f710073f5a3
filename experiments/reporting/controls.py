"""Turn changes of the control into what a report says: what is compared with what, and what was known before."""

from experiments.models import ControlChange, Experiment
from experiments.reporting import wording
from experiments.reporting.values import ControlReport

HEAD = ("Page", "Visitors", "Conversions", "Rate", "Lift")


def controls(experiment: Experiment) -> list[ControlReport]:
    """Report every change of today's page while the experiment ran, the newest first."""
    changes = experiment.control_changes.select_related("arm__variant", "before__variant").order_by("-epoch")
    return [_report(change) for change in changes]


def _report(change: ControlChange) -> ControlReport:
    before, after = change.before.variant.name, change.arm.variant.name
    day = wording.day(change.made_at)
    proof = ""
    if change.lift:
        middle, *ends = change.lift
        interval = (ends[0], ends[1])
        proof = (
            f" In its proof round it turned out {wording.lift(middle, interval)} ({wording.lift_interval(interval)}) "
            "against that page."
        )
    text = (
        f"Since {day} “{after}” is today's page, in place of “{before}”.{proof} From then on lifts compare with "
        f"“{after}”; what was known against “{before}” stands below as it stood then."
    )
    return ControlReport(
        arm=change.arm.key,
        before=change.before.key,
        since_epoch=change.epoch,
        made_at=change.made_at,
        text=text,
        head=HEAD,
        rows=[_row(known) for known in change.standing],
    )


def _row(known: dict[str, object]) -> list[str]:
    interval = known["lift_interval"]
    ends = (float(interval[0]), float(interval[1])) if isinstance(interval, list) else None
    lift = known["lift"]
    told = wording.UNKNOWN if not isinstance(lift, float) else wording.lift(lift, ends)
    rate = known["rate"]
    return [
        f"{known['name']}{' (today’s page then)' if known['is_control'] else ''}",
        wording.whole(int(str(known["exposures"]))),
        wording.whole(int(str(known["conversions"]))),
        wording.rate(rate if isinstance(rate, float) else None),
        f"{told} ({wording.lift_interval(ends)})" if ends else told,
    ]
