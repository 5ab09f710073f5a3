"""Plant the sample experiment, draw hidden true rates, and compare what visitors were sent with what was counted.

Planting goes through the functions that people's clicks go through; nothing is written to the database past them.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Count

from experiments import allocation, deeds, deployment, lifecycle
from experiments.demo import sample
from experiments.demo.visitors import Sent
from experiments.models import Conversion, Experiment, Exposure, Goal
from experiments.reporting.report import build
from variants import generation, review
from variants.models import Brand, Brief, Generation, Nursery, Variant

SLUG = "paperless"
NAME = "Set-up guide for Paperless-ngx"
CONTROL_NAME = "Today's page"
GOAL = "guide"
SECOND_GOAL = "source"
VISITORS_PER_DAY = 5000

CONTROL_RATE = 0.03
BEST_RATE = 0.07
OTHER_RATES = (0.02, 0.045)  # the others lie evenly between

WRITING_SECONDS = 600.0
DEPLOYING_SECONDS = 60.0
ASK_AGAIN_SECONDS = 0.25
SAY_AGAIN_SECONDS = 5.0
# A web process that was killed leaves a journal that another one has to find; meanwhile an exposure nobody was told of
# may still come in, so counts that agree must stay so this long.
QUIET_SECONDS = 10.0
COUNTING_SECONDS = 120.0

Say = Callable[[str], None]
type ByArm = Mapping[str, Mapping[str, int]]  # exposures and conversions of each arm


class DemonstrationFailed(Exception):
    """The sample experiment could not be brought up; the message says what stood in the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was sent and what the report says, once both stand still."""

    sent: ByArm
    others: ByArm  # who looked at the page meanwhile, counted like everybody; empty when nobody did
    counted: ByArm
    shares: Mapping[str, float]
    verdict: str  # the report's sentence
    unanswered_pages: int
    unanswered_but_counted: int  # included in `sent`: their requests arrived, only the answers did not

    @property
    def agrees(self) -> bool:
        return together(self.sent, self.others) == self.counted


def plant(*, by: User, variants: int, say: Say, stopping: threading.Event) -> Experiment:
    """Make brand, brief and experiment, have the pages written, approve them and start."""
    experiment = _draft(by)
    deeds.record(experiment, by, "Set it up.")
    control = review.add_variant(
        experiment.nursery, sample.CONTROL.model_dump(mode="json"), name=CONTROL_NAME, is_control=True, by=by
    )
    review.approve(control, by=by)
    deeds.record(experiment, by, f"Wrote and approved “{control}”, which stands for today’s page.")
    asked = generation.request_generation(experiment.nursery, variants, budget_usd=None, by=by)
    deeds.record(experiment, by, f"Asked for {variants} variants.")
    written = _wait_for_pages(asked, stopping, say)
    approved = _approve(written, by)
    say(f"{written.accepted} of {variants} pages written, {approved} of them approved. {written.message}".strip())
    if not approved:
        raise DemonstrationFailed(f"no page could be approved: {written.message}")
    deeds.record(experiment, by, f"Approved {approved} variants that no gate stops.")
    lifecycle.start(experiment, by=by)
    if not deployment.wait_until_deployed(experiment, seconds=DEPLOYING_SECONDS):
        raise DemonstrationFailed(f"the pages were not deployed within {DEPLOYING_SECONDS:g} s")
    return experiment


def _draft(by: User) -> Experiment:
    brand, _ = Brand.objects.get_or_create(name=sample.BRAND["name"], defaults=sample.BRAND)
    brief = Brief(brand=brand, created_by=by)
    brief.take(sample.BRIEF)
    brief.save()
    experiment = Experiment.objects.create(
        name=NAME,
        slug=next(_free_slugs()),
        nursery=Nursery.objects.create(brief=brief),
        policy=Experiment.Policy.EARN,
        traffic_share=1.0,
        consent_required=False,
        has_arm_budget=False,
        visitors_per_day=VISITORS_PER_DAY,
        created_by=by,
    )
    Goal.objects.create(experiment=experiment, key=GOAL, kind=Goal.Kind.FORM, is_primary=True)
    Goal.objects.create(experiment=experiment, key=SECOND_GOAL, kind=Goal.Kind.CLICK, link="more")
    return experiment


def _free_slugs() -> Iterator[str]:
    taken = set(Experiment.objects.filter(slug__startswith=SLUG).values_list("slug", flat=True))
    number = 1
    while True:
        slug = SLUG if number == 1 else f"{SLUG}-{number}"
        if slug not in taken:
            yield slug
        number += 1


def _wait_for_pages(asked: Generation, stopping: threading.Event, say: Say) -> Generation:
    say_at = time.monotonic() + SAY_AGAIN_SECONDS
    give_up = time.monotonic() + WRITING_SECONDS
    while time.monotonic() < give_up and not stopping.wait(ASK_AGAIN_SECONDS):
        asked.refresh_from_db()
        if asked.is_over:
            return asked
        if time.monotonic() >= say_at:
            say(f"Writing pages: {asked.accepted} of {asked.requested} so far.")
            say_at += SAY_AGAIN_SECONDS
    raise DemonstrationFailed("the pages were not written in time" if not stopping.is_set() else "stopped")


def _approve(written: Generation, by: User) -> int:
    """Approve what passes review; a page with findings stays a draft, for a person to look at."""
    approved = 0
    for variant in written.variants.filter(status=Variant.Status.DRAFT):
        try:
            review.approve(variant, by=by)
        except review.Blocked:
            continue
        approved += 1
    return approved


def hidden_rates(arms: list[str], *, control: str, seed: int) -> dict[str, float]:
    """Draw the truth: one clearly best arm, the others spread around the control."""
    chance = random.Random(seed)  # noqa: S311 - a demonstration that can be repeated, not a secret
    others = [arm for arm in arms if arm != control]
    chance.shuffle(others)
    best, *rest = others
    low, high = OTHER_RATES
    step = (high - low) / max(1, len(rest) - 1)
    return {control: CONTROL_RATE, best: BEST_RATE} | {
        arm: round(low + place * step, 4) for place, arm in enumerate(rest)
    }


def progress(experiment: Experiment, visitors: int) -> str:
    """Return one sentence about what new visitors get now."""
    shares = allocation.latest(experiment).shares
    key = max(shares, key=lambda arm: shares[arm])
    name = experiment.arms.select_related("variant").get(key=key).variant.name
    return f"{visitors:,} visitors: “{name}” ({key}) now gets {shares[key]:.0%} of new visitors"


def settle(experiment: Experiment, sent: Sent, *, stopping: threading.Event) -> Counted:
    """Wait until everything sent is counted, or until it is clear that it will not be."""
    give_up = time.monotonic() + COUNTING_SECONDS
    agreed_at: float | None = None
    while True:
        counted = compare(experiment, sent)
        now = time.monotonic()
        agreed_at = (agreed_at or now) if counted.agrees else None
        is_quiet = agreed_at is not None and (not sent.unanswered or now - agreed_at >= QUIET_SECONDS)
        if is_quiet or now >= give_up or stopping.wait(ASK_AGAIN_SECONDS):
            return counted


def compare(experiment: Experiment, sent: Sent) -> Counted:
    """Set what was sent beside what the report says."""
    by_arm = sent.by_arm()
    found = list(
        Exposure.objects.filter(experiment=experiment, attributes__utm_id__in=sent.unanswered)
        .values_list("arm__key", flat=True)
        .order_by()
    )
    for arm in found:
        by_arm.setdefault(arm, {"exposures": 0, "conversions": 0})["exposures"] += 1
    report = build(experiment)
    counted = {
        arm.key: {"exposures": arm.exposures, "conversions": arm.conversions}
        for arm in report.arms
        if arm.key in by_arm or arm.exposures or arm.conversions
    }
    return Counted(
        sent=by_arm,
        others=strangers(experiment, sent.mark),
        counted=counted,
        shares={arm.key: arm.share for arm in report.arms},
        verdict=report.verdict.text,
        unanswered_pages=len(sent.unanswered),
        unanswered_but_counted=len(found),
    )


def strangers(experiment: Experiment, mark: str) -> dict[str, dict[str, int]]:
    """Return by arm what is counted of visitors whose `utm_id` does not begin with the run's mark."""
    seen = Exposure.objects.filter(experiment=experiment)
    ours = seen.filter(attributes__utm_id__startswith=f"{mark}-").values("visitor")
    came = seen.exclude(visitor__in=ours)
    reached = Conversion.objects.filter(
        experiment=experiment, goal__is_primary=True, visitor__in=came.values("visitor")
    )
    exposures, conversions = (
        dict(rows.order_by().values_list("arm__key").annotate(number=Count("*"))) for rows in (came, reached)
    )
    return {
        arm: {"exposures": exposures.get(arm, 0), "conversions": conversions.get(arm, 0)}
        for arm in sorted(exposures.keys() | conversions.keys())
    }


def together(one: ByArm, other: ByArm) -> dict[str, dict[str, int]]:
    return {
        arm: {
            measure: sum(counts[arm][measure] for counts in (one, other) if arm in counts)
            for measure in ("exposures", "conversions")
        }
        for arm in one.keys() | other.keys()
    }
