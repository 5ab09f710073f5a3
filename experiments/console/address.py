"""Where a marketer gives an experiment an address of theirs, and sees whether visitors get their pages there."""

from collections.abc import Callable
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST

from experiments import addresses, deployment
from experiments.console import workbench
from experiments.console.views import View, frame, opens, record, user_of
from experiments.models import Experiment

LONGEST_TYPED: Final = 200
MAY_GIVE: Final = "experiments.start_experiment"  # it moves what visitors see
MAY_LOOK: Final = "experiments.change_experiment"


@require_http_methods(["GET", "POST"])
@opens(workbench.VIEW)
def show(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the address, and take another one from who may move what visitors see."""
    typed, fault = experiment.address, ""
    if request.method == "POST" and request.user.has_perm(MAY_GIVE):
        typed = request.POST.get("address", "")[:LONGEST_TYPED]
        try:
            _give(request, experiment, addresses.normal(typed))
        except addresses.WrongAddress as error:
            fault = str(error)
        else:
            return HttpResponseRedirect(reverse("admin:experiments_experiment_address", args=[experiment.pk]))
    context = {
        **frame(request, experiment),
        **_found(request, experiment),
        "typed": typed,
        "fault": fault,
        "most_typed": LONGEST_TYPED,
        "may_give": request.user.has_perm(MAY_GIVE),
    }
    return render(request, "console/address.html", context)


def _give(request: HttpRequest, experiment: Experiment, address: str) -> None:
    if address == experiment.address:
        return
    addresses.give(experiment, address, by=user_of(request))
    said = addresses.given_words(address)
    record(request, experiment, said)
    messages.success(request, f"{said} Have a look whether visitors get their pages there." if address else said)


@require_POST
@opens(MAY_LOOK)
def look(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Visit the page as new visitors would, and show what was found."""
    if experiment.deployment is not None:
        addresses.look(experiment, now=timezone.now(), guard=addresses.guard())
        experiment.refresh_from_db()
    return render(request, "console/_look.html", {"experiment": experiment, **_found(request, experiment)})


def _found(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    kept = experiment.address_check
    address = deployment.page_address(experiment)
    return {
        "address": address,
        "look": kept if kept and kept["address"] == address else None,
        "looked_at": parse_datetime(kept["at"]) if kept else None,
        "may_look": request.user.has_perm(MAY_LOOK),
        "is_served": experiment.deployment is not None,
    }


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of these pages."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/address/", show, "address"),
        ("<int:pk>/address/look/", look, "address_look"),
    ]
    return [path(address, guard(view), name=f"experiments_experiment_{name}") for address, view, name in views]
