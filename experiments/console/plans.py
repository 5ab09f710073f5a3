"""What comes before growing variants: the directions they take, what they will cost, and stopping them."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_http_methods
from pydantic import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from experiments.console import steps, workbench
from experiments.console.views import (
    MOST_BUDGET_USD,
    GrowForm,
    View,
    acts,
    back,
    frame,
    opens,
    record,
    user_of,
)
from experiments.models import Experiment
from variants import estimates, generation, ledger
from variants.console.complaints import complaints
from variants.directions import MOST_DIRECTIONS, DirectionSpec
from variants.models import MICRO_USD, Direction, Generation, Nursery

SHORTEST_AMOUNT: Final = 10_000  # millionths of a dollar: a cent, below which amounts are not told apart


class DirectionForm(forms.ModelForm[Direction]):
    class Meta:
        model = Direction
        fields = ("angle", "insight", "promise", "proof", "objection", "weight", "is_struck")
        labels: ClassVar = {
            "angle": "Direction", "insight": "What readers want or fear", "promise": "What the page promises",
            "proof": "What makes it believable", "objection": "The doubt it settles", "weight": "Gets",
            "is_struck": "Leave this one out",
        }  # fmt: skip
        widgets: ClassVar = {
            "angle": UnfoldAdminTextInputWidget({"data-limit": "120"}),
            **dict.fromkeys(("insight", "promise", "proof", "objection"), UnfoldAdminTextareaWidget({"rows": 2})),
            "weight": UnfoldAdminSelectWidget,
        }

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        try:
            spec = DirectionSpec.model_validate({name: values.get(name) for name in DirectionSpec.model_fields})
        except ValidationError as error:
            for complaint in complaints(error):
                name = str(complaint.place[0])
                if name not in self.errors:
                    self.add_error(name, complaint.reason)
            return values
        return {**values, **{name: value or "" for name, value in spec.model_dump().items()}}


DirectionFormSet = forms.inlineformset_factory(
    Nursery, Direction, form=DirectionForm, extra=1, can_delete=False, max_num=MOST_DIRECTIONS
)


@require_http_methods(["GET", "POST"])
@opens(workbench.GROW)
def directions(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the directions as forms, and keep what is sent."""
    nursery = experiment.nursery
    formset = DirectionFormSet(request.POST or None, instance=nursery)
    if request.method == "POST" and formset.is_valid():
        _keep(request, formset, nursery)
        record(request, experiment, "Changed the directions.")
        messages.success(request, "Saved. The next variants take these directions.")
        onward = steps.GENERATE if "then" in request.POST else steps.DIRECTIONS
        return HttpResponseRedirect(steps.url_of(experiment.pk, onward))
    latest = workbench.latest_generation(experiment)
    context = {
        **frame(request, experiment),
        "title": f"Directions of {experiment.name}",
        "formset": formset,
        "same_insight": _same_insight(nursery),
        "planning": latest if latest is not None and latest.requested == 0 else None,
        "estimate": _words(experiment, 0, request),
    }
    return render(request, "console/directions.html", context)


def _same_insight(nursery: Nursery) -> str:
    """Return what readers want where it is the same in every direction: it is said once then."""
    insights = list(nursery.directions.values_list("insight", flat=True))
    return insights[0] if len(insights) > 1 and len(set(insights)) == 1 else ""


def _keep(request: HttpRequest, formset: Any, nursery: Nursery) -> None:
    for direction in formset.save(commit=False):
        if direction.pk is None:
            direction.number, direction.created_by = nursery.next_direction(), user_of(request)
        direction.save()


@acts(workbench.GROW)
def plan(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Ask for directions."""
    generation.request_plan(experiment.nursery, budget_usd=None, by=user_of(request))
    record(request, experiment, "Asked for directions.")
    return HttpResponseRedirect(reverse("admin:experiments_directions", args=[experiment.pk]))


@acts(workbench.GROW)
def cancel(request: HttpRequest, experiment: Experiment, generation_pk: int) -> HttpResponse:
    """Ask for no more variants."""
    found = get_object_or_404(Generation, pk=generation_pk, nursery=experiment.nursery)
    generation.cancel(found)
    if found.status == Generation.Status.CANCELLED:
        record(request, experiment, "Cancelled a request for variants.")
    return back(experiment, "grow")


# --- money ----------------------------------------------------------------------------------------------------------


class BudgetForm(forms.Form):
    """What all requests of an experiment together may cost."""

    whole = forms.DecimalField(
        min_value=0,
        max_value=MOST_BUDGET_USD,
        decimal_places=2,
        required=False,
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value", "max_decimal_places"),
            "The whole experiment: write dollars in digits, such as 20 or 2.50, or leave it empty for no limit.",
        ),
    )


@acts(workbench.SETTINGS)
def budget(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Set what all variants of the experiment together may cost."""
    form = BudgetForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(fault) for fault in form.errors["whole"]))
        return back(experiment, "grow")
    whole = form.cleaned_data["whole"]
    ledger.set_budget(experiment.nursery_id, whole)
    said = "without a limit" if whole is None else f"up to ${whole}"
    record(request, experiment, f"Let the experiment spend {said} on variants.")
    messages.success(request, f"Writing variants for this experiment may now cost {said} in all.")
    return back(experiment, "grow")


@require_GET
@opens(workbench.GROW)
def estimate(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Return what the number of variants in the form would cost, in a sentence."""
    form = GrowForm(request.GET)
    form.is_valid()
    count = form.cleaned_data.get("count")
    context = {
        "experiment": experiment,
        "may": workbench.rights(request.user),
        "words": _words(experiment, count, request, most_usd=form.cleaned_data.get("budget")) if count else "",
        "spent": _amount(ledger.spent(experiment.nursery_id)),
        "whole": experiment.nursery.budget_micro_usd,
        "whole_usd": ledger.dollars(experiment.nursery.budget_micro_usd or 0),
        "directions": experiment.nursery.directions.filter(is_struck=False).count(),
    }
    return render(request, "console/_estimate.html", context)


def _words(experiment: Experiment, count: int, request: HttpRequest, *, most_usd: Any = None) -> str:
    try:
        found = estimates.estimate(experiment.nursery, count, user_id=user_of(request).pk)
    except estimates.NoEstimate as error:
        return str(error)
    if found.is_free:
        return "Free: no language model is set up, so Greenhouse writes from formulas."
    most = found.most_micro_usd if most_usd is None else min(found.most_micro_usd, ledger.micro(most_usd))
    likely = min(found.likely_micro_usd, most)
    return f"About ${_amount(likely)}, at most ${_amount(most)}."


def _amount(micro_usd: int) -> str:
    """Return dollars as people write them; less than a cent is not nothing."""
    return "0.01" if 0 < micro_usd < SHORTEST_AMOUNT else f"{micro_usd / MICRO_USD:.2f}"


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of this module; `guard` is the admin site's check that somebody is logged in."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/directions/", directions, "directions"),
        ("<int:pk>/directions/propose/", plan, "plan"),
        ("<int:pk>/grow/<int:generation_pk>/cancel/", cancel, "cancel_generation"),
        ("<int:pk>/grow/estimate/", estimate, "estimate"),
        ("<int:pk>/budget/", budget, "budget"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
