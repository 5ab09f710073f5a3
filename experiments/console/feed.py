"""Turn what visitors just did into sentences, the newest first. Nobody is told apart: no id, no address, no lead."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from experiments.models import Conversion, Experiment, Exposure, Goal

SHOWN: Final = 30
# Of visitors who came within it: conversions lie by the time of the visit, so looking back further reads them all.
RECENT: Final = timedelta(days=1)
CAMPAIGN: Final = re.compile(r"(?!.*\d{5})[\w .+-]{1,40}")
DEVICES: Final = {"phone": "on a phone", "tablet": "on a tablet", "desktop": "on a computer"}
DID: Final = {
    Goal.Kind.FORM: "sent the form",
    Goal.Kind.EVENT: "reached the goal",
    Goal.Kind.REVENUE: "bought something",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    at: datetime
    words: str
    variant: str
    is_conversion: bool


def latest(experiment: Experiment, now: datetime) -> list[Event]:
    """Return the last things that visitors did on the page, as far as they are counted."""
    arms = dict(experiment.arms.values_list("pk", "variant__name"))
    goals = {goal.pk: goal for goal in experiment.goals.all()}
    events = [*_exposures(experiment, arms), *_conversions(experiment, arms, goals, now)]
    return sorted(events, key=lambda event: event.at, reverse=True)[:SHOWN]


def _exposures(experiment: Experiment, arms: Mapping[int, str]) -> Iterator[Event]:
    found = Exposure.objects.filter(experiment=experiment).order_by("-exposed_at")
    for at, arm, attributes in found.values_list("exposed_at", "arm_id", "attributes")[:SHOWN]:
        who = ["Somebody", DEVICES.get(attributes.get("device", ""), ""), _from(attributes), "saw"]
        words = " ".join(part for part in who if part)
        yield Event(at=at, words=words, variant=arms.get(arm, ""), is_conversion=False)


def _from(attributes: Mapping[str, str]) -> str:
    campaign = attributes.get("utm_campaign") or attributes.get("utm_source") or ""
    # Mail programs put addresses and customers' numbers there: what might be a person's is not shown of one visit.
    return f"from “{campaign}”" if CAMPAIGN.fullmatch(campaign) else ""


def _conversions(
    experiment: Experiment, arms: Mapping[int, str], goals: Mapping[int, Goal], now: datetime
) -> Iterator[Event]:
    found = Conversion.objects.filter(experiment=experiment, exposed_at__gte=now - RECENT).order_by("-converted_at")
    for at, arm, goal, value in found.values_list("converted_at", "arm_id", "goal_id", "value")[:SHOWN]:
        if goal in goals:
            yield Event(
                at=at, words=_did(experiment, goals[goal], value), variant=arms.get(arm, ""), is_conversion=True
            )


def _did(experiment: Experiment, goal: Goal, value: Any) -> str:
    if goal.kind == Goal.Kind.CLICK:
        what = "clicked the second link" if goal.link == "more" else "clicked the main button"
    else:
        what = DID[Goal.Kind(goal.kind)]
    worth = f" for {value:,.2f} {experiment.currency}" if value is not None else ""
    return f"Somebody {what}{worth}: the goal “{goal.key}”"
