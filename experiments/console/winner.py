"""The choice of the page that everyone sees from now on: what is known of each, and the likeliest marked beforehand.

The numbers are the report's own, computed anew: who decides for good must not go by a standing of minutes ago.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET

from experiments import lifecycle
from experiments.console import workbench
from experiments.console.previews import preview_url
from experiments.console.views import View, back, frame, opens
from experiments.models import Arm, Experiment
from experiments.reporting import wording
from experiments.reporting.report import build
from experiments.reporting.values import ArmReport, Report

CHOICES_SHOWN: Final = 8  # the others at a click
FINAL: Final = "This is final: the experiment cannot go on after it. To try other pages later, copy the experiment."
TODAY: Final = "Today’s page is marked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A page that may be shown to everyone."""

    id: int  # of its arm
    name: str
    is_control: bool
    is_marked: bool
    known: Sequence[str]  # of it, in the report's numbers
    preview: str


@require_GET
@opens(workbench.START)
def winner(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show what may be shown to everyone, and what is known of each."""
    arms = workbench.promotable(experiment)
    if not arms:
        messages.error(request, "There is nothing to choose: that takes an experiment that runs or was stopped.")
        return back(experiment)
    report = build(experiment)
    choices, why = choices_of(experiment, arms, report)
    context = {
        **frame(request, experiment),
        "title": f"The winner of {experiment.name}",
        "choices": choices[:CHOICES_SHOWN],
        "more": choices[CHOICES_SHOWN:],
        "why": why,
        "verdict": report.verdict,
        "is_going": experiment.status in lifecycle.GOING,
        "final": FINAL,
    }
    return render(request, "console/winner.html", context)


def choices_of(experiment: Experiment, arms: Sequence[Arm], report: Report) -> tuple[list[Choice], str]:
    """Return the choices, the marked one first, today's page second, then the likeliest; and why it is marked."""
    known = {arm.key: arm for arm in report.arms}
    marked, why = _marked(report, [known[arm.key] for arm in arms if arm.key in known])
    ordered = sorted(arms, key=lambda arm: (arm.key != marked, not arm.is_control, -_chance(known, arm), arm.pk))
    return [_choice(experiment, arm, report, known.get(arm.key), is_marked=arm.key == marked) for arm in ordered], why


def _chance(known: Mapping[str, ArmReport], arm: Arm) -> float:
    found = known.get(arm.key)
    return (found.probability_best or 0.0) if found else 0.0


def _marked(report: Report, offered: Sequence[ArmReport]) -> tuple[str, str]:
    """Return the key of the page to mark beforehand, and why it is this one."""
    control = next((arm.key for arm in offered if arm.is_control), "")
    if report.verdict.state == "cannot_be_trusted":
        return control, f"{TODAY}, because these numbers cannot be trusted."
    seen = [arm for arm in offered if arm.exposures]
    if not report.conversions or not seen:
        return control, f"{TODAY}, because nothing is known of the others yet."
    best = max(seen, key=lambda arm: (arm.is_better, arm.probability_best or 0.0))
    if report.verdict.state == "no_difference" and not best.is_better:
        return control, f"{TODAY}, because no page is noticeably better."
    return best.key, _why(report, best)


def _why(report: Report, best: ArmReport) -> str:
    chance = wording.chance(best.probability_best)
    who = TODAY if best.is_control else f"“{best.name}” is marked"
    if best.is_better:
        return f"{who}: it is surely better than today’s page, and with a chance of {chance} the best of all."
    if report.verdict.best_of_all:
        return f"{who}: it is very likely best ({chance})."
    if report.is_early:
        return f"{who}: so far it is the likeliest to be best ({chance}), but it is too early to rely on that."
    rest = "" if best.is_control else " It is not sure that it is better than today’s page."
    return f"{who}: of all pages it is the likeliest to be best ({chance}).{rest}"


def _choice(experiment: Experiment, arm: Arm, report: Report, known: ArmReport | None, *, is_marked: bool) -> Choice:
    return Choice(
        id=arm.pk,
        name=arm.variant.name,
        is_control=arm.is_control,
        is_marked=is_marked,
        known=[*_known(report, known), *_misfit(arm)],
        preview=f"{settings.PUBLIC_URL}{preview_url(experiment, arm.variant_id)}",
    )


def _misfit(arm: Arm) -> list[str]:
    misfit = arm.variant.misfit
    return [f"It no longer matches the brief: {misfit}."] if misfit else []


def _known(report: Report, arm: ArmReport | None) -> list[str]:
    """Return what the report says of a page, as far as it says it."""
    if arm is None or not arm.exposures:
        return ["Nobody was counted on it."]
    visitors = wording.count_of(arm.exposures, "visitor")
    told = [f"{wording.rate(arm.rate, arm.rate_interval)} of {visitors} converted"]
    if report.verdict.state == "cannot_be_trusted" or not report.conversions:
        return told
    if arm.lift_interval is not None and not arm.is_control:
        told.append(_against_today(report, arm))
    if arm.probability_best:
        told.append(f"best of all pages with a chance of {wording.chance(arm.probability_best)}")
    return told


def _against_today(report: Report, arm: ArmReport) -> str:
    interval = wording.lift_interval(arm.lift_interval)
    if report.is_early:
        return f"against today’s page {interval}: too early to say"
    sure = "surely better than today’s page: " if arm.is_better else "against today’s page "
    return f"{sure}{wording.lift(arm.lift, arm.lift_interval)} ({interval})"


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the address of this page; what is chosen goes to those of the steps themselves."""
    view: Callable[..., Any] = guard(winner)
    return [path("<int:pk>/winner/", view, name="experiments_experiment_winner")]
