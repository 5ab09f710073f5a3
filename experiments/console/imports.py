"""Bring in the page people have today, and pick on it what counts as a conversion.

Two pages of the console: one that takes an address, a source or a file, and one that shows the imported page in a frame
of its own origin, where links, buttons and forms are picked by clicking them.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from django import forms
from django.contrib import messages
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods

from experiments import lifecycle
from experiments.console import workbench
from experiments.console.overview import workbench_url
from experiments.console.previews import PICKS, preview_url
from experiments.console.views import View, edit_url, frame, opens, record, user_of
from experiments.models import EXPOSURES, GOAL_KEY_LENGTH, Experiment, Goal
from variants.importing import (
    MOST_BYTES,
    CannotImport,
    Reading,
    import_page,
    pick,
    place_of,
    places_of,
    read_page,
    rebuild,
)
from variants.models import ImportedPage, Variant
from variants.page_import import PageNotFetched, fetch

SCRIPTS: Final = "variants.import_scripts"
MOST_PASTED: Final = 2_000_000  # characters; a larger page is fetched or uploaded
NEW: Final = "+"  # in place of a goal's key
HOW: Final = [
    ("as_it_is", "As it is: every variant is this page with other words"),
    ("rebuilt", "Rebuilt: its words in our sections, to edit as any variant"),
]


class ImportForm(forms.Form):
    """Where a page comes from, and how much of it."""

    url = forms.CharField(required=False, max_length=2000)
    html = forms.CharField(required=False, max_length=MOST_PASTED, strip=False)
    file = forms.FileField(required=False)
    how = forms.ChoiceField(choices=HOW, initial="as_it_is")
    keep_scripts = forms.BooleanField(required=False)
    allow_others = forms.BooleanField(required=False)

    def read(self, *, may_keep_scripts: bool) -> Reading:
        """Return the page. Raise CannotImport or PageNotFetched."""
        values = self.cleaned_data
        data, content_type, address = self._source()
        is_whole = values["how"] == "as_it_is"
        return read_page(
            data,
            address=address,
            content_type=content_type,
            keeps_scripts=may_keep_scripts and is_whole and values["keep_scripts"],
            allows_others=values["allow_others"],
        )

    def _source(self) -> tuple[bytes, str, str]:
        url, html = self.cleaned_data["url"].strip(), self.cleaned_data["html"]
        upload: UploadedFile[bytes] | None = self.cleaned_data["file"]
        if upload is not None:
            return upload.read(MOST_BYTES + 1), "", url
        if html.strip():
            return html.encode("utf-8", "replace"), "text/html; charset=utf-8", url
        if not url:
            raise CannotImport("Give the page’s address, paste its source, or choose a file.")
        found = fetch(url)
        return found.data, found.content_type, found.address


def _may(request: HttpRequest, permission: str) -> bool:
    return bool(request.user.has_perm(permission))


@require_http_methods(["GET", "POST"])
@opens(workbench.COPY)
def bring_in(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the form, or take what was sent and lead on to where goals are picked."""
    if experiment.status != Experiment.Status.DRAFT:
        messages.error(request, "A page can only be brought in before the start: it becomes the control.")
        return HttpResponseRedirect(workbench_url(experiment.pk))
    form = ImportForm(
        request.POST or None, request.FILES or None, initial={"how": "as_it_is", "url": request.GET.get("url", "")}
    )
    if request.method == "POST" and form.is_valid():
        try:
            return _taken(request, experiment, form)
        except (CannotImport, PageNotFetched) as error:
            form.add_error(None, str(error))
    context = {
        **frame(request, experiment),
        "title": "Bring in the page you have today",
        "form": form,
        "may_keep_scripts": _may(request, SCRIPTS),
        "most_pasted": MOST_PASTED,
    }
    return render(request, "console/import.html", context)


def _taken(request: HttpRequest, experiment: Experiment, form: ImportForm) -> HttpResponse:
    by: User = user_of(request)
    reading = form.read(may_keep_scripts=_may(request, SCRIPTS))
    if form.cleaned_data["how"] == "rebuilt":
        rebuilt = rebuild(experiment.nursery, reading, by=by)
        left = "; ".join(text.text[:60] for text in rebuilt.left[:8])
        more = f" Not taken over: {left}{' …' if len(rebuilt.left) > 8 else '.'}" if left else ""  # noqa: PLR2004
        record(request, experiment, f"Rebuilt “{reading.page.outline.title}” as the control.")
        messages.success(request, f"{rebuilt.remarks[0]}{more}")
        return HttpResponseRedirect(edit_url(experiment, rebuilt.control))
    import_page(experiment.nursery, reading, by=by)
    record(request, experiment, f"Brought in “{reading.page.outline.title}” as the control.")
    messages.success(request, "The page is brought in and stands for today’s page (control). Now say what counts.")
    return HttpResponseRedirect(reverse("admin:experiments_import_goals", args=[experiment.pk]))


# --- goals ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """A place that is a goal."""

    id: str
    place: str  # in words
    goal: str


def _control(experiment: Experiment) -> tuple[Variant, ImportedPage] | None:
    """Return the control with the imported page it shows, if it is one."""
    control = experiment.nursery.variants.filter(is_control=True).first()
    if control is None or control.patch is None:
        return None
    return control, ImportedPage.objects.defer("source").get(pk=control.patch.page)


@require_http_methods(["GET", "POST"])
@opens(workbench.SETTINGS)
def goals(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the page with its places, or make one of them a goal."""
    found = _control(experiment)
    if found is None:
        return HttpResponseRedirect(reverse("admin:experiments_import_page", args=[experiment.pk]))
    control, kept = found
    if request.method == "POST":
        _pick(request, experiment, kept)
        return HttpResponseRedirect(reverse("admin:experiments_import_goals", args=[experiment.pk]))
    places = places_of(kept)
    context = {
        **frame(request, experiment),
        "title": "What counts on this page",
        "control": control,
        "kept": kept,
        "places": places,
        "picked": _picked(places, kept),
        "goals": experiment.goals.filter(kind__in=[Goal.Kind.CLICK, Goal.Kind.FORM]),
        "new": NEW,
        "preview": preview_url(experiment, control.pk),
        "picker": f"{preview_url(experiment, control.pk)}&{PICKS}",
        "is_draft": experiment.status == Experiment.Status.DRAFT,
    }
    return render(request, "console/import_goals.html", context)


def _picked(places: Sequence[tuple[str, str]], kept: ImportedPage) -> list[Picked]:
    return [Picked(id=id_, place=words, goal=kept.goals[id_]) for id_, words in places if id_ in kept.goals]


def _pick(request: HttpRequest, experiment: Experiment, kept: ImportedPage) -> None:
    id_, key = request.POST.get("place", ""), request.POST.get("goal", "")
    words = place_of(kept, id_)
    if experiment.status != Experiment.Status.DRAFT:
        messages.error(request, "Goals can only be picked before the start.")
    elif not words:
        messages.error(request, "Click a link, a button or a form on the page first.")
    elif key == "":
        pick(kept, id_, "")
        _note_author(request, experiment)
        record(request, experiment, f"{words} is no goal any more.")
        messages.success(request, f"{words} is no goal any more.")
    else:
        goal = _new_goal(experiment, id_, words) if key == NEW else experiment.goals.filter(key=key).first()
        if goal is None:
            messages.error(request, "Choose a goal.")
            return
        pick(kept, id_, goal.key)
        _note_author(request, experiment)
        record(request, experiment, f"{words} counts as {goal}.")
        messages.success(request, f"{words}: {_counts(id_)}, as the goal “{goal}”.")


def _counts(id_: str) -> str:
    return "it counts when it is sent" if id_.startswith("f") else "clicks on it count"


def _note_author(request: HttpRequest, experiment: Experiment) -> None:
    Experiment.objects.filter(pk=experiment.pk).update(**lifecycle.authored(experiment, user_of(request)))


def _new_goal(experiment: Experiment, id_: str, words: str) -> Goal:
    """Make a goal named after what was picked; the first one decides."""
    named = re.sub(r"[^a-z0-9]+", "-", words.partition("“")[2].lower()).strip("-")[: GOAL_KEY_LENGTH - 8].strip("-")
    base = named if re.fullmatch(r"[a-z][a-z0-9-]*", named) and named != EXPOSURES else "picked"
    taken = set(experiment.goals.values_list("key", flat=True))
    key = next(key for key in (base, *(f"{base}-{number}" for number in range(2, 10_000))) if key not in taken)
    kind = Goal.Kind.FORM if id_.startswith("f") else Goal.Kind.CLICK
    is_first = not experiment.goals.filter(is_primary=True).exists()
    return Goal.objects.create(experiment=experiment, key=key, kind=kind, is_primary=is_first)


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/import/", bring_in, "import_page"),
        ("<int:pk>/import/goals/", goals, "import_goals"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
