"""The workbench of an experiment: its page, and each thing a person can do there.

Every step is a POST that needs one permission, calls one function of the work modules, writes who did what to the
admin's history, and leads back to the page. GETs change nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from experiments import deeds, deployment, lifecycle, schedule
from experiments.console import arms, history, likeness, planning, steps, texts, workbench
from experiments.console.gallery import CARDS_BESIDE, CARDS_PER_PAGE, cards, gallery, ids, last_number, tally
from experiments.console.overview import MINUTE, workbench_url
from experiments.console.previews import preview_url
from experiments.models import Arm, Deployment, Experiment
from experiments.rehearsal import page_checks
from experiments.reporting.share import share_url
from experiments.splitter.stores import StoreUnavailable
from variants import generation, review
from variants.models import MOST_VARIANTS_PER_GENERATION, Operator, Variant

MOST_BUDGET_USD: Final = 1_000_000  # more is a slip of the keyboard
LONGEST_TYPED: Final = 40  # characters of a number that are shown again
NAMES_IN_HISTORY: Final = 10
COPIED_NAME: Final = 110  # characters; leaves room for " (copy)" in a name
DEPLOY_WAIT_SECONDS: Final = 10
LATER: Final = "Saved. Visitors will follow as soon as the connection to the page servers is back; this is automatic."

type View = Callable[..., HttpResponse]


def opens(permission: str) -> Callable[[View], View]:
    """Answer 403 without the permission, before anything is looked up; then load the experiment."""

    def decorated(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, pk: int, **place: int) -> HttpResponse:
            if not request.user.has_perm(permission):
                raise PermissionDenied
            found = Experiment.objects.select_related(
                "nursery__brief__brand", "deployment", "winner__variant", "proof_arm__variant"
            )
            return view(request, get_object_or_404(found, pk=pk), **place)

        return guarded

    return decorated


def acts(permission: str) -> Callable[[View], View]:
    def decorated(view: View) -> View:
        return require_POST(opens(permission)(_returning(view)))

    return decorated


def _returning(view: View) -> View:
    """Lead back to the step that a form was sent from (`back_to`) where the view leads to the workbench."""

    @wraps(view)
    def returned(request: HttpRequest, experiment: Experiment, **place: int) -> HttpResponse:
        answer = view(request, experiment, **place)
        name, home = request.POST.get("back_to", ""), workbench_url(experiment.pk)
        if isinstance(answer, HttpResponseRedirect) and name in steps.NAMES and answer.url.startswith(home):
            rest = answer.url.removeprefix(home)
            if rest[:1] in {"", "?", "#"}:
                return HttpResponseRedirect(steps.url_of(experiment.pk, name) + rest)
        return answer

    return returned


def user_of(request: HttpRequest) -> User:
    return cast("User", request.user)  # admin_view lets nobody else in


def record(request: HttpRequest, experiment: Experiment, what: str) -> None:
    """Write to the admin's history who did what; the steps of lifecycle.py do that themselves."""
    deeds.record(experiment, user_of(request), what)


def back(experiment: Experiment, anchor: str = "", *, typed: Mapping[str, str] | None = None) -> HttpResponseRedirect:
    """Lead to the workbench; what was typed there stands in its form again."""
    query = f"?{urlencode(typed)}" if typed else ""
    return HttpResponseRedirect(workbench_url(experiment.pk) + query + (f"#{anchor}" if anchor else ""))


# --- the page -------------------------------------------------------------------------------------------------------


class GrowForm(forms.Form):
    """How many variants to grow, and what they may cost."""

    count = forms.IntegerField(
        min_value=1,
        max_value=MOST_VARIANTS_PER_GENERATION,
        error_messages={
            "required": "Say how many variants you want.",
            "invalid": "Write the number of variants in digits.",
            "max_value": f"Ask for at most {MOST_VARIANTS_PER_GENERATION} variants at a time.",
            "min_value": "Ask for at least one variant.",
        },
    )
    budget = forms.DecimalField(
        min_value=0,
        max_value=MOST_BUDGET_USD,
        decimal_places=2,
        required=False,
        error_messages={
            "invalid": "Spend at most: write dollars in digits, such as 2.50.",
            "min_value": "Spend at most: write 0 dollars or more, or leave it empty for no limit.",
            "max_value": f"Spend at most: write {MOST_BUDGET_USD:,} dollars or less, or leave it empty for no limit.",
            "max_decimal_places": "Spend at most: write no more than two digits after the point, such as 2.50.",
        },
    )


@require_GET
@opens(workbench.VIEW)
def show(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the workbench."""
    # Race: variants are being made. What is read first may only be older than the cards: a generation that is over
    # asks no more, and the gallery's `after` is where the next request for cards goes on.
    growing = workbench.progress(workbench.latest_generation(experiment))
    is_draft = experiment.status == Experiment.Status.DRAFT
    shown, until = CARDS_PER_PAGE if is_draft else CARDS_BESIDE, last_number(experiment)
    context = {
        **frame(request, experiment),
        **growing,
        **gallery(experiment, request.GET, until=until, per_page=shown),
        **arms.arms(experiment, request.GET.get("arms")),
        "plans": list(schedule.coming(experiment)),
        "typed": {name: request.GET.get(name) for name in GrowForm.base_fields},
        "traffic": planning.TrafficForm(instance=experiment),
        "plan": planning.plan(experiment),
        "whole_usd": workbench.whole_usd(experiment),
    }
    return render(request, "console/workbench.html", context)


def frame(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    """Return what every page about an experiment needs."""
    return {
        **admin.site.each_context(request),
        "title": experiment.name,
        "experiment": experiment,
        "opts": None,
        **_state(request, experiment),
    }


def _state(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    here = step_of(request)
    return {
        "experiment": experiment,
        "summary": workbench.summary(experiment, tally(experiment)),
        "may": workbench.rights(request.user),
        "here": here,
        "steps": steps.bar(experiment, here) if here else [],
    }


def step_of(request: HttpRequest) -> str:
    """Return the step whose page asks, or is asked for; empty for the workbench."""
    try:
        address = urlsplit(request.headers.get("HX-Current-URL") or request.path)
    except ValueError:  # a header that no browser sends
        return ""
    last = address.path.rstrip("/").rpartition("/")[2]
    return last if last in steps.NAMES else ""


@require_GET
@opens(workbench.VIEW)
def alike(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Return how many different pages there are, and the map of them. Half a second for 500: loaded by itself."""
    return render(request, "console/_alike.html", {"alike": likeness.of(experiment.nursery)})


# --- growing variants -----------------------------------------------------------------------------------------------


@acts(workbench.GROW)
def grow(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Ask for variants."""
    form = GrowForm(request.POST)
    if not form.is_valid():
        for faults in form.errors.values():
            messages.error(request, " ".join(str(fault) for fault in faults))
        return back(experiment, "grow", typed={name: form.data.get(name, "")[:LONGEST_TYPED] for name in form.fields})
    count, budget = form.cleaned_data["count"], form.cleaned_data["budget"]
    try:
        generation.request_generation(experiment.nursery, count, budget_usd=budget, by=user_of(request))
    except ValueError as error:
        messages.error(request, str(error))
        return back(experiment)
    record(request, experiment, f"Asked for {count} variants.")
    return back(experiment, "grow")


@acts(workbench.SETTINGS)
def traffic(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Take in how many people visit the page and how many of them convert; the page then says what that affords."""
    form = planning.TrafficForm(request.POST, instance=experiment)
    if not form.is_valid():
        for faults in form.errors.values():
            messages.error(request, " ".join(str(fault) for fault in faults))
        return back(experiment, "grow")
    Experiment.objects.filter(pk=experiment.pk).update(**form.cleaned_data)  # and nothing else that others may change
    record(request, experiment, "Said how many people visit the page.")
    return back(experiment, "grow")


@require_GET
@opens(workbench.VIEW)
def progress(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Return how far the newest generation has come, and the cards made since the one numbered `after`."""
    growing = workbench.progress(workbench.latest_generation(experiment))  # first, as above
    after = next(iter(ids([request.GET.get("after", "")])), 0)
    fresh = experiment.nursery.variants.filter(number__gt=after)[:CARDS_PER_PAGE]
    made = cards(experiment, fresh)
    context = {
        **_state(request, experiment),
        **growing,
        "cards": made,
        "after": max([after, *(card.number for card in made)]),
        "is_update": True,
    }
    return render(request, "console/_progress.html", context)


# --- review ---------------------------------------------------------------------------------------------------------

PAST: Final = {"approve": "Approved", "reject": "Rejected", "reconsider": "Took back into review"}
AFTER: Final = {
    "approve": Variant.Status.APPROVED, "reject": Variant.Status.REJECTED, "reconsider": Variant.Status.DRAFT
}  # fmt: skip


@acts(workbench.APPROVE)
def decide(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Approve, reject or take back what was ticked, or the one variant whose button was pressed."""
    verb, _, single = request.POST.get("decision", "").partition(":")
    # As "12:1f0c…": a variant, and the mark of what its card showed.
    sent = [value.partition(":") for value in ([single] if single else request.POST.getlist("variant"))]
    read = {pk: mark for key, _, mark in sent for pk in ids([key])}
    chosen = experiment.nursery.variants.filter(pk__in=read).select_related("nursery__brief", "arm")
    if verb not in PAST or not chosen:
        messages.warning(request, "Nothing was ticked. Tick the variants first, then approve or reject them.")
        return back(experiment, "gallery")
    # Who ticks everything and approves does not mean to be told off for what is approved already.
    open_ones = chosen.exclude(status=AFTER[verb])
    done, stuck = _decide_each(open_ones, verb, read, by=user_of(request))
    if done:
        record(request, experiment, f"{PAST[verb]} {_named(done)}.")
        lifecycle.add_arms(experiment)
    if single and request.headers.get("HX-Request"):
        return _card(request, experiment, chosen.all(), stuck)
    if done:
        messages.success(request, f"{PAST[verb]} {len(done)} {'variant' if len(done) == 1 else 'variants'}.")
    for reason in stuck:
        messages.error(request, reason)
    return back(experiment, "gallery")


def _decide_each(
    chosen: Iterable[Variant], verb: str, read: Mapping[int, str], *, by: User
) -> tuple[list[Variant], list[str]]:
    done, stuck = [], []
    for variant in chosen:
        try:
            if verb == "approve":
                review.approve(variant, by=by, read=read[variant.pk])
            elif verb == "reconsider":
                review.reconsider(variant, by=by)
            else:
                review.reject(variant, by=by, is_live=hasattr(variant, "arm"))
        except review.Blocked as blocked:
            reasons = dict.fromkeys(f"“{found.words}” – {found.reason}" for found in blocked.findings)
            stuck.append(f"{variant} cannot be approved yet: {' '.join(reasons)}")
        except (review.LiveVariant, review.WrongVariantStatus) as error:
            stuck.append(f"{error}.")
        else:
            done.append(variant)
    return done, stuck


def _named(variants: Sequence[Variant]) -> str:
    names = ", ".join(f"“{variant}”" for variant in variants[:NAMES_IN_HISTORY])
    rest = len(variants) - NAMES_IN_HISTORY
    return f"{names} and {rest} more" if rest > 0 else names


def _card(
    request: HttpRequest, experiment: Experiment, variants: QuerySet[Variant], stuck: Sequence[str] = ()
) -> HttpResponse:
    """Return one card's words and buttons, and the summary, so that the page need not be loaded again."""
    context = {**_state(request, experiment), "card": cards(experiment, variants)[0], "stuck": stuck, "is_update": True}
    return render(request, "console/_decided.html", context)


@acts(workbench.WRITE)
def make_control(request: HttpRequest, experiment: Experiment, variant_pk: int) -> HttpResponse:
    """Let a variant stand for today's page."""
    variant = get_object_or_404(Variant, pk=variant_pk, nursery=experiment.nursery)
    try:
        workbench.make_control(experiment, variant, by=user_of(request))
    except lifecycle.WrongStatus as error:
        messages.error(request, str(error))
        return back(experiment)
    record(request, experiment, f"Made “{variant}” the control.")
    messages.success(request, f"“{variant}” stands for today’s page (control): the others are compared with it.")
    return back(experiment, f"variant-{variant.pk}")


# --- editing --------------------------------------------------------------------------------------------------------


def edit(request: HttpRequest, experiment: Experiment, variant: Variant) -> HttpResponse:
    """Show a page's texts as a form, and keep what is sent."""
    is_live = hasattr(variant, "arm")
    form = texts.form_of(variant, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and (saved := _save(request, experiment, variant, form)):
        return HttpResponseRedirect(edit_url(experiment, saved))
    context = {
        **frame(request, experiment),
        "title": variant.name,
        "variant": variant,
        "form": form,
        "is_live": is_live,
        "preview": preview_url(experiment, variant.pk),
        "public_url": settings.PUBLIC_URL,
        "previews_until": arms.previews_until(),
        "card": cards(experiment, experiment.nursery.variants.filter(pk=variant.pk))[0],
        "looked": page_checks.states([variant.pk])[variant.pk],
    }
    return render(request, "console/edit.html", context)


def _save(request: HttpRequest, experiment: Experiment, variant: Variant, form: texts.Form) -> Variant | None:
    """Keep what was written; of a variant that visitors see, as a new one. Return where it stands now."""
    if form.content is None:
        return None
    content = form.content.model_dump(mode="json")
    if hasattr(variant, "arm"):
        return _new_version(request, experiment, variant, content)
    before = variant.content
    try:
        review.edit(variant, content, by=user_of(request), is_live=False)
    except (review.LiveVariant, review.WrongVariantStatus) as error:
        messages.error(request, f"{error}.")
        return None
    record(request, experiment, deeds.edited(str(variant), before, variant.content))
    messages.success(request, "Saved. It is a draft again: look at it and approve it.")
    return variant


def _new_version(
    request: HttpRequest, experiment: Experiment, variant: Variant, content: Mapping[str, Any]
) -> Variant | None:
    """Make a draft that descends from a variant which visitors see; once it is live the other stays or retires."""
    if content == variant.content:
        messages.warning(request, "Nothing was changed, so there is no new version.")
        return None
    made = review.add_variant(experiment.nursery, content, by=user_of(request))
    made.parents.add(variant)
    Variant.objects.filter(pk=made.pk).update(operator=Operator.EDIT, earlier_authors=review.authors(variant))
    arms = Arm.objects.filter(variant=variant, variant__is_control=False)
    retires = request.POST.get("then") == "retires" and bool(arms.update(successor=made))
    then = "takes its place once it is live" if retires else "runs beside it once it is live"
    changed = deeds.edited(str(variant), variant.content, made.content).partition(" ")[2]
    record(request, experiment, f"Made “{made}”, a new version that {then}, of {changed}")
    told = f"This is the new version, a draft. Approve it, and it {then}. Visitors see no change yet."
    messages.success(request, told)
    return made


@require_http_methods(["GET", "POST"])
@opens(workbench.WRITE)
def open_variant(request: HttpRequest, experiment: Experiment, variant_pk: int) -> HttpResponse:
    found = Variant.objects.select_related("nursery__brief", "arm")
    return edit(request, experiment, get_object_or_404(found, pk=variant_pk, nursery=experiment.nursery))


def edit_url(experiment: Experiment, variant: Variant) -> str:
    return reverse("admin:experiments_variant_edit", args=[experiment.pk, variant.pk])


@acts(workbench.COPY)
def copy(request: HttpRequest, experiment: Experiment, variant_pk: int) -> HttpResponse:
    """Make a draft with the same content, to be changed freely."""
    variant = get_object_or_404(Variant, pk=variant_pk, nursery=experiment.nursery)
    made = review.add_variant(
        experiment.nursery, variant.content, name=f"{variant.name[:COPIED_NAME]} (copy)", by=user_of(request)
    )
    made.parents.add(variant)
    Variant.objects.filter(pk=made.pk).update(operator=Operator.EDIT, earlier_authors=review.authors(variant))
    record(request, experiment, f"Copied “{variant}” as a new draft.")
    messages.success(request, "This is your copy, a new draft. The variant it came from stays as it is.")
    return HttpResponseRedirect(edit_url(experiment, made))


@acts(workbench.COPY)
def write(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Make a first draft from the brief's own words, to be rewritten by hand."""
    made = review.add_variant(
        experiment.nursery, workbench.blank_page(experiment), name="Written by hand", by=user_of(request)
    )
    record(request, experiment, f"Began “{made}”.")
    return HttpResponseRedirect(edit_url(experiment, made))


# --- running --------------------------------------------------------------------------------------------------------


STEPS: Final = {
    "start": lifecycle.start, "pause": lifecycle.pause, "resume": lifecycle.resume, "stop": lifecycle.stop,
}  # fmt: skip
DONE: Final = {
    "start": "Started. New visitors are sent to the variants.",
    "pause": "Paused. New visitors see the control; those who know a variant keep it.",
    "resume": "Resumed. New visitors take part again.",
    "stop": "Stopped. Everyone sees the control now.",
}


def done(request: HttpRequest, experiment: Experiment, act: Callable[[], object], *, says: str) -> HttpResponse:
    """Do one thing of lifecycle.py and say so; or say why it cannot be done."""
    try:
        act()
    except (lifecycle.WrongStatus, lifecycle.NotReady) as error:
        messages.error(request, str(error))
    else:
        messages.success(request, says)
    return back(experiment)


def done_to_arm(
    request: HttpRequest, experiment: Experiment, act: Callable[..., object], *, lacking: str, says: str
) -> HttpResponse:
    """Do one thing of lifecycle.py to the arm that was chosen; `{}` in `says` is its name."""
    arms = experiment.arms.select_related("variant")
    arm = arms.filter(pk__in=ids([request.POST.get("arm", "")])).first()
    if arm is None:
        messages.error(request, lacking)
        return back(experiment)
    return done(request, experiment, partial(act, experiment, arm, by=user_of(request)), says=says.format(arm.variant))


@acts(workbench.START)
def step(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Start, pause, resume or stop."""
    name = request.POST.get("step", "")
    if name not in STEPS:
        messages.error(request, "Choose what to do: start, pause, resume or stop.")
        return back(experiment)
    answer = done(request, experiment, partial(STEPS[name], experiment, by=user_of(request)), says=DONE[name])
    if name == "start" and experiment.started_at and not _is_deployed(experiment):
        messages.warning(request, "The pages are still being made; they will answer in a moment.")
    return answer


def _is_deployed(experiment: Experiment) -> bool:
    return deployment.wait_until_deployed(experiment, seconds=DEPLOY_WAIT_SECONDS)


@acts(workbench.START)
def promote(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Send everyone to the chosen arm."""
    return done_to_arm(
        request,
        experiment,
        lifecycle.promote,
        lacking="Choose the variant that everybody should see from now on.",
        says="Everyone sees “{}” from now on.",
    )


@acts(workbench.START)
def prove(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Run the chosen arm and the control from zero on a fixed split."""
    return done_to_arm(
        request,
        experiment,
        lifecycle.start_proof,
        lacking="Choose the variant to prove.",
        says="New visitors see “{}” or today’s page, half and half, counted from zero.",
    )


@acts(workbench.START)
def end_proof(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Send new visitors to all live variants again."""
    is_paused = experiment.status == Experiment.Status.PAUSED
    after = "Once it is resumed, new visitors see" if is_paused else "New visitors see"
    return done(
        request,
        experiment,
        partial(lifecycle.end_proof, experiment, by=user_of(request)),
        says=f"The proof round is over; its result stays in the report. {after} all live variants again.",
    )


@acts(workbench.START)
def set_aside(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Leave out what was counted while visitors were not split as planned."""
    return done(
        request,
        experiment,
        partial(lifecycle.set_aside, experiment, by=user_of(request)),
        says="The old numbers are set aside. Counting begins anew, with equal shares.",
    )


@acts(workbench.START)
def renew(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Make the live pages again, from the brief and the brand as they are now."""
    return done(
        request,
        experiment,
        partial(lifecycle.renew, experiment, by=user_of(request), read=request.POST.get("read")),
        says="The live pages are made again from the brief and the brand as they are now.",
    )


@acts(workbench.START)
def roll_back(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Serve what was served before the last change."""
    try:
        earlier = deployment.roll_back(experiment)
    except Deployment.DoesNotExist:
        messages.error(request, "There is no earlier state to go back to.")
        return back(experiment)
    except StoreUnavailable:
        record(request, experiment, "Rolled back to the pages served before.")
        messages.warning(request, LATER)
        return back(experiment)
    record(request, experiment, f"Rolled back to the pages of {date_format(earlier.created_at, MINUTE)} UTC.")
    messages.success(request, f"Visitors see the variants as of {date_format(earlier.created_at, MINUTE)} UTC again.")
    return back(experiment)


@acts(workbench.SHARE)
def share(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the link that opens the report without a login; make it if there is none."""
    url = share_url(experiment, by=user_of(request))
    record(request, experiment, "Shared the report by link.")
    if request.headers.get("HX-Request"):
        return render(request, "console/_share.html", {"url": url, "experiment": experiment})
    messages.info(request, f"Whoever has this link can read the report: {url}")
    return back(experiment)


@require_GET
@opens(workbench.VIEW)
def timeline(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show what people and the bandit did, newest first."""
    context = {
        **frame(request, experiment),
        **history.of(experiment, shows_where=workbench.rights(request.user).notify),
    }
    return render(request, "console/history.html", {**context, "title": f"History of {experiment.name}"})


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the workbench's addresses; `guard` is the admin site's check that somebody is logged in."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/", show, "experiment_workbench"),
        ("<int:pk>/progress/", progress, "experiment_progress"),
        ("<int:pk>/timeline/", timeline, "experiment_timeline"),
        ("<int:pk>/grow/", grow, "experiment_grow"),
        ("<int:pk>/alike/", alike, "experiment_alike"),
        ("<int:pk>/traffic/", traffic, "experiment_traffic"),
        ("<int:pk>/decide/", decide, "experiment_decide"),
        ("<int:pk>/step/", step, "experiment_step"),
        ("<int:pk>/promote/", promote, "experiment_promote"),
        ("<int:pk>/proof/", prove, "experiment_prove"),
        ("<int:pk>/proof/end/", end_proof, "experiment_end_proof"),
        ("<int:pk>/set-aside/", set_aside, "experiment_set_aside"),
        ("<int:pk>/renew/", renew, "experiment_renew"),
        ("<int:pk>/roll-back/", roll_back, "experiment_roll_back"),
        ("<int:pk>/share/", share, "experiment_share"),
        ("<int:pk>/write/", write, "variant_write"),
        ("<int:pk>/pages/<int:variant_pk>/", open_variant, "variant_edit"),
        ("<int:pk>/pages/<int:variant_pk>/copy/", copy, "variant_copy"),
        ("<int:pk>/pages/<int:variant_pk>/control/", make_control, "variant_control"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
