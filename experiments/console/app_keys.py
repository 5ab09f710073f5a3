"""Where people make the keys by which their apps ask for arms, and say on which sites a browser may use them."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from experiments.console.views import View, frame, opens, record, user_of
from experiments.models import AppKey, Experiment

PERMISSION: Final = "experiments.change_experiment"
MOST_SITES: Final = 20
MOST_KEYS: Final = 200


class AppForm(forms.Form):
    """A new app."""

    name = forms.CharField(max_length=80, error_messages={"required": "Give the app a name you will recognise."})
    origins = forms.CharField(required=False, max_length=4000)

    def clean_origins(self) -> str:
        """Return the sites, each as a browser names it, one a line."""
        found = [_origin(line) for line in self.cleaned_data["origins"].split()]
        if len(found) > MOST_SITES:
            raise forms.ValidationError(f"Name at most {MOST_SITES} sites.")
        return "\n".join(dict.fromkeys(found))


def _origin(typed: str) -> str:
    try:
        parts = urlsplit(typed if "://" in typed else f"https://{typed}")
        host = (parts.hostname or "").encode("idna").decode("ascii").lower()
        port = f":{parts.port}" if parts.port else ""
    except (ValueError, UnicodeError):
        host, port, parts = "", "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.path.strip("/") or parts.query:
        raise forms.ValidationError(f"“{typed[:80]}” is not a site, such as https://shop.example.")
    return f"{parts.scheme}://{host}{port}"


@require_http_methods(["GET", "POST"])
@opens(PERMISSION)
def show(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """List the apps that may ask for this experiment's arms, and take a new one."""
    form = AppForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = AppKey.objects.create(**form.cleaned_data, created_by=user_of(request))
        made.experiments.add(experiment)
        record(request, experiment, f"The app “{made}” may ask for this page.")
        messages.success(request, f"“{made}” has its key.")
        return _back(experiment)
    keys = AppKey.objects.filter(revoked_at=None)
    context: dict[str, Any] = {
        **frame(request, experiment),
        "form": form,
        "keys": list(keys.filter(experiments=experiment).order_by("pk")),
        "others": list(keys.exclude(experiments=experiment).order_by("name")[:MOST_KEYS]),
        "base_url": settings.PUBLIC_URL,
    }
    return render(request, "console/apps.html", context)


@require_POST
@opens(PERMISSION)
def change(request: HttpRequest, experiment: Experiment, key: int) -> HttpResponse:
    """Let an app in, keep it out of this experiment, or take its key back altogether."""
    found = get_object_or_404(AppKey, pk=key, revoked_at=None)
    act = request.POST.get("act")
    if act != "admit" and not found.experiments.filter(pk=experiment.pk).exists():
        raise Http404  # what an app may ask for is changed where it asks, so that it stands in that history
    if act == "admit":
        found.experiments.add(experiment)
        said = f"The app “{found}” may ask for this page."
    elif act == "leave":
        found.experiments.remove(experiment)
        said = f"The app “{found}” may not ask for this page any more."
    elif act == "revoke":
        AppKey.objects.filter(pk=found.pk).update(revoked_at=timezone.now())
        said = f"The key of the app “{found}” opens nothing any more."
    else:
        return _back(experiment)
    record(request, experiment, said)
    messages.success(request, said)
    return _back(experiment)


def _back(experiment: Experiment) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:experiments_experiment_apps", args=[experiment.pk]))


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of these pages."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/apps/", show, "apps"),
        ("<int:pk>/apps/<int:key>/", change, "app"),
    ]
    return [path(address, guard(view), name=f"experiments_experiment_{name}") for address, view, name in views]
