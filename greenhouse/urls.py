"""Every address Django answers; visitors' own are the splitter's (experiments/splitter)."""

from collections.abc import Collection, Iterable
from typing import cast

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import URLPattern, URLResolver, include, path
from django.utils.csp import CSP
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe
from django.views.generic import RedirectView

from experiments.console.previews import preview
from greenhouse.api import addresses
from variants.console.thumbnails import thumbnail

# Alpine, which drives Unfold's menus, compiles its attributes at run time and sets styles; nothing outside the console
# gets this policy.
CONSOLE_CSP = {
    **cast("dict[str, Collection[str]]", settings.SECURE_CSP),
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
}

# Shared reports are not named here: they forbid indexing themselves, which a robot kept out could not read.
ROBOTS = "User-agent: *\nDisallow: /console/\nDisallow: /experiments/\nDisallow: /api/\n"


@require_safe
def robots(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(ROBOTS, content_type="text/plain; charset=utf-8")


def with_console_policy(patterns: Iterable[URLPattern | URLResolver]) -> None:
    """Give every view below `patterns` the console's Content-Security-Policy."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            with_console_policy(pattern.url_patterns)
        else:
            pattern.callback = csp_override(CONSOLE_CSP)(pattern.callback)


console = path("console/", admin.site.urls)
with_console_policy([console])

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("favicon.ico", RedirectView.as_view(url=static("reports/leaf.svg"))),
    path("robots.txt", robots),
    # Before the console, whose last pattern answers for everything below its address.
    path("console/pictures/<int:variant_id>/<int:width>/<str:sha256>", thumbnail, name="thumbnail"),
    console,
    path("p/<slug:slug>/", preview, name="preview"),
    path("api/v1/", addresses()),
    path("ofrep/v1/", include("experiments.ofrep")),
    path("", include("experiments.urls")),
]
