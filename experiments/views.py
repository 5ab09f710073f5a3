"""Turn requests for a report into its page or a file; everything about numbers is in experiments/reporting."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Concatenate, cast

from django.conf import settings
from django.contrib.auth.decorators import login_required, permission_required
from django.contrib.auth.models import User
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments import deeds
from experiments.models import Experiment, ShareLink
from experiments.reporting import export, share, workbook
from experiments.reporting.card import card_of
from experiments.reporting.freshness import stamp
from experiments.reporting.page import headline_of, page_of, state_of
from experiments.reporting.report import as_json, build
from variants.console.thumbnails import DESKTOP, thumbnail_of, thumbnail_urls

CSV_TYPE = "text/csv; charset=utf-8"
# A shared address is a secret: it must not leak to other sites, search engines or caches.
PRIVATE_HEADERS = {
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
# The one page of ours that others may frame. It has no script, no form and no link.
CARD_CSP = {
    **cast("dict[str, Collection[str]]", settings.SECURE_CSP),
    "script-src": ["'none'"],
    "form-action": ["'none'"],
    "frame-ancestors": ["*"],
}
SHARE = "experiments.add_sharelink"
LONGEST_NAME = 80

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def _private[**P](view: View[P]) -> View[P]:
    """Give every answer of `view` the headers of something only its reader should have."""

    def with_headers(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        for name, value in PRIVATE_HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    return with_headers


def _needs[**P](permission: str) -> Callable[[View[P]], View[P]]:
    """Send strangers to the login; refuse who is logged in but may not, before looking anything up."""

    def decorated(view: View[P]) -> View[P]:
        return _private(login_required(permission_required(permission, raise_exception=True)(view)))

    return decorated


def _experiment(pk: int) -> Experiment:
    return get_object_or_404(Experiment.objects.prefetch_related("goals"), pk=pk)


def _unless_known(request: HttpRequest, experiment: Experiment, answer: Callable[[], HttpResponse]) -> HttpResponseBase:
    """Answer, or say that nothing has changed: an open report asks every few seconds, and building it takes longer."""
    etag = quote_etag(stamp(experiment, timezone.now()))
    known = get_conditional_response(request, etag=etag)
    response = known if known is not None and known.status_code == NOT_MODIFIED else answer()
    response["ETag"] = etag
    return response


NOT_MODIFIED = 304


def _page(request: HttpRequest, experiment: Experiment, *, token: str = "") -> HttpResponse:
    shown = page_of(build(experiment), partial(_pictures, experiment, token), is_whole="all" in request.GET)
    return render(request, "reports/report.html", {"page": shown, "is_shared": bool(token)})


def _pictures(experiment: Experiment, token: str, arms: Collection[str]) -> dict[str, str]:
    """Return the addresses of the pages' pictures by arm: the console's own, or those that a link opens."""
    keys = dict(experiment.arms.filter(key__in=arms).values_list("variant_id", "key"))
    found = thumbnail_urls(keys, DESKTOP)
    if not token:
        return {keys[variant]: address for variant, address in found.items()}
    return {
        keys[variant]: reverse("experiments:shared_picture", args=[token, keys[variant], address.rsplit("/", 1)[1]])
        for variant, address in found.items()
    }


def _csv(experiment: Experiment) -> HttpResponse:
    built = build(experiment)
    return HttpResponse(export.report_csv(built), headers=_download(f"{built.slug}-report.csv"))


def _xlsx(experiment: Experiment) -> HttpResponse:
    built = build(experiment)
    return HttpResponse(
        workbook.report_xlsx(built), headers=_download(f"{built.slug}-report.xlsx", content_type=workbook.TYPE)
    )


def _json(experiment: Experiment) -> HttpResponse:
    return JsonResponse(as_json(build(experiment)))


# --- For people who may see the experiment -----------------------------------------------------------------------


@require_safe
@_needs("experiments.view_experiment")
def report(request: HttpRequest, pk: int) -> HttpResponseBase:
    experiment = _experiment(pk)
    return _unless_known(request, experiment, lambda: _page(request, experiment))


@require_safe
@_needs("experiments.view_experiment")
def report_json(_request: HttpRequest, pk: int) -> HttpResponse:
    return _json(_experiment(pk))


@require_safe
@_needs("experiments.view_experiment")
def report_csv(_request: HttpRequest, pk: int) -> HttpResponse:
    return _csv(_experiment(pk))


@require_safe
@_needs("experiments.view_experiment")
def report_xlsx(_request: HttpRequest, pk: int) -> HttpResponse:
    return _xlsx(_experiment(pk))


@require_safe
@_needs("experiments.view_lead")
def leads_csv(_request: HttpRequest, pk: int) -> StreamingHttpResponse:
    experiment = _experiment(pk)
    return StreamingHttpResponse(export.leads_csv(experiment), headers=_download(f"{experiment.slug}-leads.csv"))


@require_http_methods(["GET", "HEAD", "POST"])
@_needs(SHARE)
def links(request: HttpRequest, pk: int) -> HttpResponse:
    """List the links to a report; make one when asked to."""
    experiment = _experiment(pk)
    if request.method == "POST":
        name = request.POST.get("name", "").strip()[:LONGEST_NAME]
        user = cast("User", request.user)
        made = share.make_link(experiment, by=user, name=name)
        deeds.record(experiment, user, share.made_words(made))
        return HttpResponseRedirect(reverse("experiments:links", args=[pk]))
    kept = ShareLink.objects.filter(experiment=experiment).select_related("created_by").order_by("-pk")
    good = set(share.good_links(experiment).values_list("pk", flat=True))
    rows = [
        {"link": link, "url": share.url_of(link), "card_url": share.card_url_of(link)}
        for link in kept
        if link.pk in good
    ]
    dead = [link for link in kept if link.pk not in good]
    page = render(request, "reports/links.html", {"experiment": experiment, "rows": rows, "dead": dead})
    page["Referrer-Policy"] = "same-origin"  # without a referrer browsers hide where a form comes from: no CSRF check
    return page


@require_POST
@_needs(SHARE)
def revoke_link(request: HttpRequest, pk: int, link: int) -> HttpResponse:
    experiment = _experiment(pk)
    if share.revoke(experiment, link):
        told = share.revoked_words(ShareLink.objects.get(pk=link))
        deeds.record(experiment, cast("User", request.user), told)
    return HttpResponseRedirect(reverse("experiments:links", args=[pk]))


# --- For holders of a link ---------------------------------------------------------------------------------------


@require_safe
@_private
def shared_report(request: HttpRequest, token: str) -> HttpResponseBase:
    experiment = share.shared_experiment(token)
    if experiment is None:
        return _no_such_link(request)
    return _unless_known(request, experiment, lambda: _page(request, experiment, token=token))


def _shared(answer: Callable[[Experiment], HttpResponse]) -> View[[str]]:
    """Return the view of one form of the report, for who has a link."""

    @require_safe
    @_private
    def view(request: HttpRequest, token: str) -> HttpResponse:
        experiment = share.shared_experiment(token)
        return _no_such_link(request) if experiment is None else answer(experiment)

    return view


@require_safe
def shared_picture(_request: HttpRequest, token: str, arm: str, name: str) -> HttpResponse:
    """Answer with a page's picture; its name is that of its bytes, so the browser may keep it."""
    experiment = share.shared_experiment(token)
    shown = experiment.arms.filter(key=arm).first() if experiment else None
    picture = thumbnail_of(shown.variant_id, DESKTOP) if shown else None
    if picture is None or name != picture.sha256:
        raise Http404
    kept = PRIVATE_HEADERS | {"Cache-Control": "private, max-age=86400, immutable"}
    return HttpResponse(picture.data, content_type=picture.content_type, headers=kept)


shared_report_json, shared_report_csv, shared_report_xlsx = (_shared(answer) for answer in (_json, _csv, _xlsx))


@require_safe
@xframe_options_exempt
@csp_override(CARD_CSP)
@_private
def card(request: HttpRequest, token: str) -> HttpResponse:
    """Answer with the verdict as a card that other sites may frame."""
    experiment = share.carded_experiment(token)
    if experiment is None:
        return render(request, "reports/no_card.html", status=404)
    built = build(experiment)
    shown = card_of(built, headline=headline_of(built), state=state_of(built))
    return render(request, "reports/card.html", {"card": shown})


def _no_such_link(request: HttpRequest) -> HttpResponse:
    return render(request, "reports/no_such_link.html", status=404)


def _download(filename: str, *, content_type: str = CSV_TYPE) -> dict[str, str]:
    return {"Content-Type": content_type, "Content-Disposition": f'attachment; filename="{filename}"'}
