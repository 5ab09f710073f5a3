"""Step five: what counts, who takes part, a checklist, and the start; and afterwards the events as they come."""

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from experiments import lifecycle
from experiments.console import feed, planning, steps, workbench
from experiments.console.checklist import checklist
from experiments.console.forms import POLICIES
from experiments.console.gallery import ids
from experiments.console.previews import PICKS, preview_url
from experiments.console.views import View, acts, frame, opens, record, user_of
from experiments.models import GOAL_KEY_LENGTH, Experiment, Goal, goal_key_shape
from experiments.rehearsal import walkthrough
from variants.models import Variant

DRAFT: Final = Experiment.Status.DRAFT
# What can be picked on one of our own pages, and the goal it makes: kind and link.
PICKED: Final = {"cta": (Goal.Kind.CLICK, "cta"), "more": (Goal.Kind.CLICK, "more"), "form": (Goal.Kind.FORM, "cta"),
                 "event": (Goal.Kind.EVENT, "cta"), "revenue": (Goal.Kind.REVENUE, "cta")}  # fmt: skip
KEYS: Final = {"cta": "click", "more": "second-link", "form": "signup", "event": "event", "revenue": "purchase"}
FIXED: Final = "What counts is fixed once visitors are counted. Copy the experiment to change it."


class LaunchForm(forms.ModelForm[Experiment]):
    """How the experiment runs, as far as most people set it."""

    policy = forms.ChoiceField(choices=POLICIES, widget=forms.RadioSelect)

    class Meta:
        model = Experiment
        fields = ("policy", "slug", "consent_required")
        error_messages: ClassVar = {
            "slug": {"unique": "Another experiment has this address. Choose another one.", "required": "Say where."},
        }


@require_http_methods(["GET", "POST"])
@opens(workbench.VIEW)
def launch(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the last step, or keep how the experiment is to run."""
    form = LaunchForm(request.POST or None, instance=Experiment.objects.get(pk=experiment.pk))
    if request.method == "POST" and _may_set(request, experiment) and form.is_valid():
        _update(request, experiment, **{name: form.cleaned_data[name] for name in form.Meta.fields})
        record(request, experiment, "Said how it runs.")
        messages.success(request, "Saved.")
        return _here(experiment, "traffic")
    return render(request, "console/launch.html", {**_context(request, experiment), "form": form})


def _context(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    variant = walkthrough.page_to_test(experiment)
    is_own = variant is not None and variant.patch is None
    is_draft = experiment.status == DRAFT
    untested = {goal.pk for goal in walkthrough.untested(experiment)}
    goals = experiment.goals.order_by("-is_primary", "pk")
    return {
        **frame(request, experiment),
        "title": f"Launch of {experiment.name}",
        "is_draft": is_draft,
        "goals": [(goal, goal.does, goal.pk not in untested) for goal in goals],
        "shown": variant,
        "is_imported": variant is not None and not is_own,
        "picker": f"{preview_url(experiment, variant.pk)}&{PICKS}" if variant is not None and is_own else "",
        "places": _places(experiment, variant) if variant is not None and is_own else [],
        "traffic": planning.TrafficForm(instance=experiment),
        "plan": planning.plan(experiment),
        "checklist": checklist(experiment, user_of(request)) if is_draft else None,
        "start": next((step for step in workbench.STEPS[DRAFT] if step.name == "start"), None),
        "events": [] if is_draft else feed.latest(experiment, timezone.now()),
    }


def _places(experiment: Experiment, variant: Variant) -> list[tuple[str, str]]:
    """Return what can be picked, in words."""
    spec = experiment.nursery.brief.spec()
    second = spec.secondary_link
    return [
        ("cta", f"The main button, “{variant.page.hero.call_to_action}”"),
        *([("more", f"The second link, “{second.label}”")] if second else []),
        *([("form", "The form: when it is sent")] if spec.call_to_action.kind == "form" else []),
        ("event", "Something your own site reports, such as a finished trial"),
        ("revenue", "A purchase that your own site reports, with its value"),
    ]


def _here(experiment: Experiment, anchor: str = "") -> HttpResponseRedirect:
    return HttpResponseRedirect(steps.url_of(experiment.pk, steps.LAUNCH) + (f"#{anchor}" if anchor else ""))


def _may_set(request: HttpRequest, experiment: Experiment) -> bool:
    if not request.user.has_perm(workbench.SETTINGS):
        messages.error(request, "Changing the settings takes the role of an Author.")
    elif experiment.status != DRAFT:
        messages.error(request, "It has started: what may still be changed is in its settings.")
    else:
        return True
    return False


def _update(request: HttpRequest, experiment: Experiment, **values: Any) -> None:
    """Change these settings and nothing else that others may change meanwhile; four eyes want to know who did."""
    Experiment.objects.filter(pk=experiment.pk, status=DRAFT).update(
        **values, **lifecycle.authored(experiment, user_of(request))
    )


# --- what counts ----------------------------------------------------------------------------------------------------


@acts(workbench.SETTINGS)
def set_goal(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Make what was picked a goal, let a goal decide, or take one away."""
    if experiment.status != DRAFT:
        messages.error(request, FIXED)
        return _here(experiment, "goals")
    decides, leaves = (_goal(experiment, request.POST.get(name, "")) for name in ("decides", "leaves"))
    if decides is not None:
        _decide(experiment, decides)
        told = f"“{decides}” decides: variants are compared by it."
    elif leaves is not None:
        leaves.delete()
        told = f"“{leaves}” is no goal any more."
    else:
        told = _add(request, experiment, request.POST.get("place", ""))
    if told:
        _update(request, experiment)
        record(request, experiment, told)
        messages.success(request, told)
    return _here(experiment, "goals")


def _goal(experiment: Experiment, sent: str) -> Goal | None:
    return experiment.goals.filter(pk__in=ids([sent])).first()


def _decide(experiment: Experiment, goal: Goal) -> None:
    with transaction.atomic():
        # In this order: the database allows one deciding goal at a time.
        experiment.goals.filter(is_primary=True).update(is_primary=False)
        experiment.goals.filter(pk=goal.pk).update(is_primary=True)


def _add(request: HttpRequest, experiment: Experiment, place: str) -> str:
    if place not in PICKED:
        messages.error(request, "Click the button, the link or the form on the page first.")
        return ""
    kind, link = PICKED[place]
    known = experiment.goals.filter(kind=kind, link=link).first()
    if known is not None and place in {"cta", "more", "form"}:
        messages.info(request, f"That is counted already, as the goal “{known}”.")
        return ""
    try:
        key = _key(experiment, place, request.POST.get("name", ""))
    except ValidationError as error:
        messages.error(request, f"The name: {' '.join(error.messages)}")
        return ""
    is_first = not experiment.goals.filter(is_primary=True).exists()
    goal = Goal.objects.create(experiment=experiment, key=key, kind=kind, link=link, is_primary=is_first)
    return f"A visitor who {goal.does} counts, as the goal “{goal}”."


def _key(experiment: Experiment, place: str, name: str) -> str:
    """Return a name for a goal that none has; what somebody typed becomes one. Raise ValidationError."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[: GOAL_KEY_LENGTH - 8] or KEYS[place]
    goal_key_shape(base)
    taken = set(experiment.goals.values_list("key", flat=True))
    return next(key for key in (base, *(f"{base}-{number}" for number in range(2, 1000))) if key not in taken)


@require_http_methods(["GET", "POST"])
@opens(workbench.SETTINGS)
def test_goals(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Walk to one goal, or to all, as a test visitor, and show how far it came.

    Where the browser asks for a whole page, it is led back to the step: a reload there tests nothing again.
    """
    if request.method != "POST":
        return _here(experiment, "goals")
    chosen = _goal(experiment, request.POST.get("goal", ""))
    goals = [chosen] if chosen is not None else list(experiment.goals.order_by("-is_primary", "pk"))
    walks = [walkthrough.walk(experiment, goal) for goal in goals]
    if "HX-Request" in request.headers:
        context = {**_context(request, experiment), "walks": walks, "is_update": True}
        return render(request, "console/_walks.html", context)
    for walked in walks:
        tell = messages.success if walked.is_reached else messages.error
        tell(request, _told(walked))
    return _here(experiment, "goals")


def _told(walked: walkthrough.Walk) -> str:
    """Return how a test went, in a sentence or three."""
    if walked.is_reached:
        reached = f"“{walked.goal}” was reached by a test visitor on “{walked.page}”; nothing was counted."
        return " ".join([reached, *walked.remarks])
    stopped = next((step for step in walked.steps if not step.is_good), None)
    where = f" {stopped.did}: {stopped.came}" if stopped else ""
    return f"“{walked.goal}” was not reached by a test visitor.{where}"


# --- what happens ---------------------------------------------------------------------------------------------------


@require_GET
@opens(workbench.VIEW)
def events(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Return what visitors did last."""
    found = feed.latest(experiment, timezone.now())
    return render(request, "console/_feed.html", {"experiment": experiment, "events": found, "is_draft": False})


@require_GET
@opens(workbench.VIEW)
def live(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show what visitors did last, on a page that keeps itself up to date."""
    context = {
        **frame(request, experiment),
        "title": f"Live events of {experiment.name}",
        "is_draft": experiment.status == DRAFT,
        "events": feed.latest(experiment, timezone.now()),
    }
    return render(request, "console/live.html", context)


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of this module; `guard` is the admin site's check that somebody is logged in."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/launch/", launch, "launch"),
        ("<int:pk>/launch/goals/", set_goal, "set_goal"),
        ("<int:pk>/launch/test/", test_goals, "test_goals"),
        ("<int:pk>/live/", live, "live"),
        ("<int:pk>/live/events/", events, "live_events"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
