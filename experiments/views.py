"""Turn requests for a report into its page or a file; everything about numbers is in experiments/reporting."""

from collections.abc import Callable
from typing import Concatenate

from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from experiments.models import Experiment
from experiments.reporting import export, share
from experiments.reporting.page import page_of
from experiments.reporting.report import as_json, build

CSV_TYPE = "text/csv; charset=utf-8"
# A shared address is a secret: it must not leak to other sites, search engines or caches.
PRIVATE_HEADERS = {
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}

type View[**P] = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def _private[**P](view: View[P]) -> View[P]:
    """Give every answer of `view` the headers of something only its reader should have."""

    def with_headers(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        for name, value in PRIVATE_HEADERS.items():
            response[name] = value
        return response

    return require_safe(with_headers)


def _needs[**P](permission: str) -> Callable[[View[P]], View[P]]:
    """Send strangers to the login; refuse who is logged in but may not, before looking anything up."""

    def decorated(view: View[P]) -> View[P]:
        return _private(login_required(permission_required(permission, raise_exception=True)(view)))

    return decorated


@_needs("experiments.view_experiment")
def report(request: HttpRequest, pk: int) -> HttpResponse:
    built = build(get_object_or_404(Experiment, pk=pk))
    return render(request, "reports/report.html", {"page": page_of(built), "is_shared": False})


@_needs("experiments.view_experiment")
def report_json(_request: HttpRequest, pk: int) -> HttpResponse:
    return JsonResponse(as_json(build(get_object_or_404(Experiment, pk=pk))))


@_needs("experiments.view_experiment")
def report_csv(_request: HttpRequest, pk: int) -> HttpResponse:
    built = build(get_object_or_404(Experiment, pk=pk))
    return HttpResponse(export.report_csv(built), headers=_download(f"{built.slug}-report.csv"))


@_needs("experiments.view_lead")
def leads_csv(_request: HttpRequest, pk: int) -> StreamingHttpResponse:
    experiment = get_object_or_404(Experiment, pk=pk)
    return StreamingHttpResponse(export.leads_csv(experiment), headers=_download(f"{experiment.slug}-leads.csv"))


@_private
def shared_report(request: HttpRequest, token: str) -> HttpResponse:
    experiment = share.shared_experiment(token)
    if experiment is None:
        return _no_such_link(request)
    return render(request, "reports/report.html", {"page": page_of(build(experiment)), "is_shared": True})


@_private
def shared_report_json(request: HttpRequest, token: str) -> HttpResponse:
    experiment = share.shared_experiment(token)
    if experiment is None:
        return _no_such_link(request)
    return JsonResponse(as_json(build(experiment)))


def _no_such_link(request: HttpRequest) -> HttpResponse:
    return render(request, "reports/no_such_link.html", status=404)


def _download(filename: str) -> dict[str, str]:
    return {"Content-Type": CSV_TYPE, "Content-Disposition": f'attachment; filename="{filename}"'}
