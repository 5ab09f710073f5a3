"""Begin an experiment: from a new brief, one that is there, today's page, or an earlier experiment.

A brief that is being written is kept whenever typing pauses (models.BriefDraft), for its writer alone. It becomes an
experiment, a draft still, once it makes sense; from then on the five steps (steps.py) lead on.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from experiments import deeds
from experiments.console import held, steps, workbench
from experiments.console.brief_step import PAGE, form_with, kept_values
from experiments.console.forms import default_goal
from experiments.console.gallery import ids
from experiments.console.overview import STATUS_WORDS
from experiments.console.views import View, acts, frame, opens, record, user_of
from experiments.duplication import duplicate, free_slug
from experiments.models import Experiment
from variants.console.brief_form import WAITS
from variants.importing import CannotImport, read_page
from variants.models import Brief, BriefDraft, Nursery
from variants.page_import import PageNotFetched, fetch

ADD: Final = "experiments.add_experiment"
WRITE_BRIEF: Final = "variants.change_brief"
OFFERED: Final = 50  # briefs and experiments to begin from: the newest
LONGEST_NAME, LONGEST_TEXT = 120, 1_000


def adds(view: View) -> View:
    """Answer 403 to whoever may not set up experiments."""

    def guarded(request: HttpRequest, **place: int) -> HttpResponse:
        if not request.user.has_perm(ADD):
            raise PermissionDenied
        return view(request, **place)

    return guarded


def new_drafts(request: HttpRequest) -> QuerySet[BriefDraft]:
    """Return the beginnings of whoever asks that are no experiment yet, the newest first."""
    return BriefDraft.objects.filter(brief=None, created_by=user_of(request)).order_by("-saved_at")


def draft_url(draft: BriefDraft) -> str:
    return reverse("admin:experiments_new_brief", args=[draft.pk])


# --- where to begin -------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@adds
def begin(request: HttpRequest) -> HttpResponse:
    """Show the ways to begin, or take the chosen one."""
    if request.method == "POST":
        return _begun(request)
    context = {
        **admin.site.each_context(request),
        "title": "New experiment",
        "steps": steps.bar_before("Begin here"),
        "drafts": new_drafts(request)[:OFFERED],
        "briefs": Brief.objects.order_by("-pk")[:OFFERED],
        "earlier": [(found, STATUS_WORDS[Experiment.Status(found.status)]) for found in _earlier()],
    }
    return render(request, "console/begin.html", context)


def _earlier() -> QuerySet[Experiment]:
    return Experiment.objects.order_by("-pk")[:OFFERED]


def _begun(request: HttpRequest) -> HttpResponse:
    brief = Brief.objects.filter(pk__in=ids([request.POST.get("brief", "")])).first()
    if brief is not None:
        return _set_up(request, brief)
    values = {}
    if url := request.POST.get(PAGE, "").strip():
        try:
            values = _read_from(url)
        except (CannotImport, PageNotFetched) as error:
            messages.error(request, f"{error} You can still write the brief, and bring the page in later.")
    draft = BriefDraft.objects.create(created_by=user_of(request), values=values)
    return HttpResponseRedirect(draft_url(draft))


def _read_from(url: str) -> dict[str, str]:
    """Return what the page at an address already says of a brief. Facts are not among it: somebody has to vouch."""
    found = fetch(url)
    outline = read_page(found.data, address=found.address, content_type=found.content_type).page.outline
    said = {kind: [text.text for text in outline.texts if text.kind == kind] for kind in
            ("headline", "description", "button", "browser title")}  # fmt: skip
    product = " ".join([*said["headline"][:1], *said["description"][:1]])
    return {
        PAGE: found.address,
        "name": (outline.title or "Today’s page")[:LONGEST_NAME],
        "product": product[:LONGEST_TEXT],
        "call_to_action_label": said["button"][0][:40] if said["button"] else "",
    }


def _set_up(request: HttpRequest, brief: Brief, *, page_url: str = "") -> HttpResponse:
    """Make the draft of an experiment that grows from a brief, and lead on."""
    with transaction.atomic():
        experiment = Experiment.objects.create(
            name=brief.name,
            slug=free_slug(slugify(brief.name).replace("_", "-").strip("-")),
            nursery=Nursery.objects.create(brief=brief),
            created_by=user_of(request),
        )
        default_goal(experiment).save()
    record(request, experiment, "Created.")
    if page_url:
        messages.success(request, "The brief is saved. Now bring in the page.")
        address = reverse("admin:experiments_import_page", args=[experiment.pk])
        return HttpResponseRedirect(f"{address}?{urlencode({'url': page_url})}")
    messages.success(request, "The brief is saved. Next: which directions the variants should take.")
    return HttpResponseRedirect(steps.url_of(experiment.pk, steps.DIRECTIONS))


# --- the brief ------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@adds
def new_brief(request: HttpRequest, draft_pk: int) -> HttpResponse:
    """Show a brief that is being written, keep it, or make an experiment of it."""
    if _only_keeps(request) and not new_drafts(request).filter(pk=draft_pk).exists():
        return HttpResponse(status=HTTPStatus.NO_CONTENT)  # what was typed last arrives after it became a brief
    draft = get_object_or_404(new_drafts(request), pk=draft_pk)
    if request.method == "POST":
        _keep(draft, request)
        if _only_keeps(request):
            return _kept(request)
    form = form_with(draft.values, brief=None, checked=request.method == "POST")
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            brief = form.saved(by=user_of(request))
            draft.delete()
        return _set_up(request, brief, page_url=str(draft.values.get(PAGE, "")))
    context = {
        **admin.site.each_context(request),
        "title": "New experiment",
        "steps": steps.bar_before("Being written"),
        "form": form,
        "draft": draft,
    }
    return render(request, "console/brief_step.html", context)


@require_http_methods(["GET", "POST"])
@opens(WRITE_BRIEF)
def brief_step(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the brief of an experiment, keep what is changed, or take it over."""
    brief = Brief.objects.select_related("brand").get(pk=experiment.nursery.brief_id)  # which the form may change
    draft = BriefDraft.objects.filter(brief=brief).first()
    if request.method == "POST":
        draft = draft or BriefDraft(brief=brief, created_by=user_of(request))
        _keep(draft, request)
        if _only_keeps(request):
            return _kept(request)
    form = form_with(draft.values if draft else {}, brief=brief, checked=request.method == "POST")
    if request.method == "POST" and draft is not None and form.is_valid():
        with transaction.atomic():
            form.saved(by=user_of(request))
            for typist in User.objects.filter(pk__in=draft.typed_by):
                deeds.record(brief, typist, "Changed in the first step of an experiment.")
            draft.delete()
        holding = held.told(brief)
        messages.success(request, f"The brief is saved.{f' {WAITS}' if experiment.started_at else ''}")
        if holding:
            messages.info(request, holding)
        return HttpResponseRedirect(steps.url_of(experiment.pk, steps.DIRECTIONS))
    context = {
        **frame(request, experiment),
        "title": f"Brief of {experiment.name}",
        "steps": steps.bar(experiment, steps.BRIEF),
        "form": form,
        "draft": draft if draft is not None and draft.pk else None,
        "others": brief.nurseries.exclude(pk=experiment.nursery_id).count(),
        "is_live": experiment.status != Experiment.Status.DRAFT,
    }
    return render(request, "console/brief_step.html", context)


def _keep(draft: BriefDraft, request: HttpRequest) -> None:
    draft.values = {**draft.values, **kept_values(request.POST)}
    draft.typed_by = sorted({*draft.typed_by, user_of(request).pk})
    draft.saved_at = timezone.now()
    draft.save()


def _only_keeps(request: HttpRequest) -> bool:
    """Tell whether typing paused, rather than somebody pressing a button."""
    return "HX-Request" in request.headers


def _kept(request: HttpRequest) -> HttpResponse:
    return render(request, "console/_kept.html", {"at": timezone.now()})


@adds
@require_POST
def discard(request: HttpRequest, draft_pk: int) -> HttpResponse:
    """Throw a beginning away."""
    new_drafts(request).filter(pk=draft_pk).delete()
    messages.success(request, "The unfinished brief is thrown away.")
    return HttpResponseRedirect(reverse("admin:experiments_begin"))


@acts(WRITE_BRIEF)
def forget_changes(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Take back what was typed into the brief since it was last saved."""
    BriefDraft.objects.filter(brief=experiment.nursery.brief_id).delete()
    messages.success(request, "The brief is as it was last saved.")
    return HttpResponseRedirect(steps.url_of(experiment.pk, steps.BRIEF))


# --- going on -------------------------------------------------------------------------------------------------------


@require_GET
@opens(workbench.VIEW)
def go_on(_request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Lead to the first step that is not done."""
    return HttpResponseRedirect(steps.url_of(experiment.pk, steps.first_unfinished(experiment)))


@acts(ADD)
def copy_experiment(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Make a new draft of an experiment."""
    approves = "approved" in request.POST and request.user.has_perm(workbench.APPROVE)
    made = duplicate(experiment, by=user_of(request), approves=approves)
    record(request, made, f"Copied from “{experiment}”.")
    messages.success(
        request,
        f"This is your copy of “{experiment}”: its brief, directions, goals and approved variants. "
        "Visitors, leads and results stay with the original.",
    )
    return HttpResponseRedirect(steps.url_of(made.pk, steps.first_unfinished(made)))


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of this module; `guard` is the admin site's check that somebody is logged in."""
    views: list[tuple[str, View, str]] = [
        ("new/", begin, "begin"),
        ("new/<int:draft_pk>/", new_brief, "new_brief"),
        ("new/<int:draft_pk>/discard/", discard, "discard_brief"),
        ("<int:pk>/brief/", brief_step, "brief_step"),
        ("<int:pk>/brief/forget/", forget_changes, "forget_changes"),
        ("<int:pk>/go-on/", go_on, "go_on"),
        ("<int:pk>/duplicate/", copy_experiment, "duplicate"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
