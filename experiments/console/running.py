"""What people do to an experiment that runs, beside its steps: plan its start and end, retire a variant, choose the
winner at once.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

from experiments import lifecycle
from experiments.console import workbench
from experiments.console.views import View, acts, back, done_to_arm, frame, opens, user_of
from experiments.models import Experiment

TYPED: Final = "%Y-%m-%dT%H:%M"  # as a browser's field for date and time sends it
OLD_NAMES: Final = ("Etc/", "SystemV/", "US/", "posix/", "right/")  # of time zones, kept for old systems


# --- the plan -------------------------------------------------------------------------------------------------------


@cache
def zones() -> list[str]:
    """Return the names of time zones that people choose from."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith(OLD_NAMES))
    return ["UTC", *sorted(places)]


class PlanForm(forms.Form):
    """When to start and to end, as clocks in a time zone show it."""

    starts_at = forms.DateTimeField(
        label="Start",
        required=False,
        input_formats=[TYPED],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=TYPED),
        help_text="Leave it empty to start by hand.",
    )
    ends_at = forms.DateTimeField(
        label="End",
        required=False,
        input_formats=[TYPED],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format=TYPED),
        help_text="Everyone sees the control from then on. Leave it empty to stop by hand.",
    )
    zone = forms.ChoiceField(label="Clocks of", help_text="The times above are as clocks show them there.")

    def __init__(self, *values: Any, **more: Any) -> None:
        super().__init__(*values, **more)
        self.fields["zone"].choices = [(name, name.replace("_", " ")) for name in zones()]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Read the times on the clocks of the zone that was chosen."""
        found = super().clean() or {}
        zone = found.get("zone")
        for name in ("starts_at", "ends_at"):
            if zone and found.get(name):
                found[name] = self._there(name, found[name].replace(tzinfo=None), ZoneInfo(zone))
        return found

    def _there(self, name: str, wall: datetime, zone: ZoneInfo) -> datetime | None:
        at = wall.replace(tzinfo=zone).astimezone(UTC)
        if at.astimezone(zone).replace(tzinfo=None) != wall:
            self.add_error(name, "There is no such time on that day: clocks are put forward over it.")
            return None
        return at


def _initial(experiment: Experiment) -> dict[str, Any]:
    is_planned = experiment.starts_at or experiment.ends_at
    zone = experiment.time_zone if is_planned else settings.HOUSE_TIME_ZONE
    there = ZoneInfo(zone)
    return {
        "zone": zone,
        "starts_at": experiment.starts_at.astimezone(there).replace(tzinfo=None) if experiment.starts_at else None,
        "ends_at": experiment.ends_at.astimezone(there).replace(tzinfo=None) if experiment.ends_at else None,
    }


@require_http_methods(["GET", "POST"])
@opens(workbench.START)
def schedule(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Plan when the experiment starts and ends."""
    form = PlanForm(request.POST) if request.method == "POST" else PlanForm(initial=_initial(experiment))
    if experiment.status != Experiment.Status.DRAFT:
        del form.fields["starts_at"]
    if form.is_bound and form.is_valid() and _planned(request, experiment, form):
        return back(experiment)
    missing = lifecycle.faults(experiment) if experiment.status == Experiment.Status.DRAFT else []
    context = {
        **frame(request, experiment),
        "title": f"When “{experiment.name}” runs",
        "form": form,
        "is_new": not (experiment.starts_at or experiment.ends_at or form.is_bound),
        "lacking": [fault.reason for fault in missing],
    }
    return render(request, "console/schedule.html", context)


def _planned(request: HttpRequest, experiment: Experiment, form: PlanForm) -> bool:
    values = form.cleaned_data
    try:
        lifecycle.plan(
            experiment,
            starts_at=values.get("starts_at"),
            ends_at=values["ends_at"],
            zone=values["zone"],
            by=user_of(request),
        )
    except (lifecycle.BadTime, lifecycle.WrongStatus) as error:
        form.add_error(None, str(error))
        return False
    messages.success(request, f"Planned: it {lifecycle.planned_words(experiment)}.")
    return True


# --- arms -----------------------------------------------------------------------------------------------------------


@acts(workbench.START)
def retire(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Send no new visitors to the chosen arm."""
    return done_to_arm(
        request,
        experiment,
        lifecycle.retire,
        lacking="Choose the variant to retire.",
        says="“{}” gets no new visitors. Those who know it keep it, and its numbers stay.",
    )


@acts(workbench.START)
def conclude(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Stop, and send everyone to the chosen arm."""
    return done_to_arm(
        request,
        experiment,
        lifecycle.conclude,
        lacking="Choose the variant that everybody should see from now on.",
        says="The experiment is over: everyone sees “{}” from now on.",
    )


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of these pages and steps."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/schedule/", schedule, "experiment_schedule"),
        ("<int:pk>/retire/", retire, "experiment_retire"),
        ("<int:pk>/conclude/", conclude, "experiment_conclude"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
