"""Signed links that show any variant, draft or live, to whoever holds one for a week: never counted, no cookie.

A preview is the page as visitors get it, with three differences that keep it from leaving a trace. Its links lead
straight to where they end instead of through the page's own address, which counts clicks; its form cannot be sent; its
pictures stand inside the document, because the page's own address serves them only while the experiment is live.
"""

import base64
import hashlib
import html
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_safe
from pydantic import ValidationError

from experiments import surroundings
from experiments.deployment import imported_pages, page_frame
from experiments.models import Experiment
from variants.imported import MARK, Import, render_picker, render_preview
from variants.models import Variant
from variants.patches import PatchContent
from variants.renderer import BadFrame, PageFrame, Rendered, render_page

PARAMETER: Final = "gh_preview"
LIFE: Final = timedelta(days=7)
FRAMED: Final = "framed"  # in the address of a preview that the console shows as a picture of itself
PICKS: Final = "picks"  # in the address of one in which links, buttons and forms are picked as goals
TEXTS: Final = "texts"  # in the address of one in which a text is chosen by clicking it
# What runs in such a picture, by what its address says.
SCRIPTS: Final = {
    PICKS: Path(__file__).with_name("picker.js").read_text("utf-8"),
    TEXTS: Path(__file__).with_name("toucher.js").read_text("utf-8"),
}
NONCE_BYTES: Final = 16
SALT: Final = "experiments.previews"
# At the foot, above a button that a layout keeps there on telephones: the header of a page may stick to the top.
BAR_STYLE: Final = (
    ":root{--bar:2.5rem}@media(max-width:34rem){:root{--bar:4rem}}"  # there it takes two lines
    "body{padding-bottom:var(--bar)}.sticky{bottom:var(--bar)}"
    ".gh-preview{position:fixed;inset:auto 0 0;z-index:99;max-width:none;margin:0;padding:.5rem 1rem;"
    "background:#0f3d22;color:#fff;font:500 .875rem/1.5rem system-ui,sans-serif;text-align:center}"
)
BAR_WORDS: Final = "This is a preview: nothing is counted and the form is not sent."
# Instead of the renderer's: the console may show the page in a frame, nothing may be sent, pictures are inside.
OVERRIDES: Final = {"frame-ancestors": "'self'", "form-action": "'none'", "img-src": "data:"}
DROPPED: Final = ("script-src", "connect-src")  # without them default-src 'none' holds
# How the renderer begins the elements that may be goals, by the name that a goal gives them.
PLACES: Final = {
    "cta": ('<a class="button" href="', '<a class="button outline" href="'),
    "more": ('<a class="quiet" href="',),
    "form": ('<form class="card',),
}
SCRIPT: Final = b'<script src="greenhouse.js" defer></script>'  # it would tell the visitor tier of a visit


class BadPreview(ValueError):
    """The link shows nothing; the message says why in words."""


def preview_url(experiment: Experiment, variant_id: int) -> str:
    """Return the address, on this site, that shows a variant for a week."""
    token = signing.dumps([experiment.pk, variant_id], salt=SALT)
    return f"{reverse('preview', args=[experiment.slug])}?{PARAMETER}={token}"


def read_token(token: str, slug: str) -> tuple[Experiment, Variant]:
    """Return what a link names. Raise BadPreview."""
    try:
        experiment_id, variant_id = signing.loads(token, salt=SALT, max_age=LIFE)
    except signing.SignatureExpired as error:
        raise BadPreview("This preview link is older than a week. Ask for a new one.") from error
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise BadPreview("This preview link is not complete. Copy it again, whole.") from error
    experiment = (
        Experiment.objects.select_related("nursery__brief__brand__logo").filter(pk=experiment_id, slug=slug).first()
    )
    variant = Variant.objects.filter(pk=variant_id, nursery=experiment.nursery).first() if experiment else None
    if experiment is None or variant is None:
        raise BadPreview("What this preview link showed is not there any more.")
    return experiment, variant


@require_safe
def preview(request: HttpRequest, slug: str) -> HttpResponse:
    """Answer a preview link; everything else under this address is the visitor tier's."""
    try:
        experiment, variant = read_token(request.GET.get(PARAMETER, ""), slug)
        touch = next((name for name in SCRIPTS if name in request.GET), "")
        rendered = _rendered(experiment, variant, touch)
        shown = rendered if touch or FRAMED in request.GET else _with_bar(rendered)
    except BadPreview as error:
        return _refusal(request, str(error))
    answer = HttpResponse(shown.html)
    answer["Content-Security-Policy"] = shown.csp
    return _private(answer)


@csp_override({"default-src": ["'none'"], "frame-ancestors": ["'self'"]})
def _refusal(request: HttpRequest, reason: str) -> HttpResponse:
    return _private(render(request, "console/no_preview.html", {"reason": reason}, status=404))


def _private(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "private, no-store"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    answer["X-Frame-Options"] = "SAMEORIGIN"
    # The link itself opens the page, so it must not travel to where the page's links lead.
    answer["Referrer-Policy"] = "no-referrer"
    return answer


def _touchable(page: Import, patch: PatchContent, touch: str) -> Rendered:
    return render_picker(page, patch, script=SCRIPTS[touch], nonce=secrets.token_urlsafe(NONCE_BYTES))


def _rendered(experiment: Experiment, variant: Variant, touch: str) -> Rendered:
    if patch := variant.patch:
        _, page = imported_pages([variant])[patch.page]
        return _touchable(page, patch, touch) if touch else render_preview(page, patch)
    try:
        frame = page_frame(experiment)
        rendered = render_page(variant.page, frame)
    except (ValidationError, BadFrame) as error:
        raise BadPreview("The brief or the page has a fault that stands in the way. Open and save both.") from error
    marked = _marked(rendered.html) if touch == PICKS else rendered.html
    shown = Rendered(html=_detached(marked, experiment, frame), csp=_policy(rendered.csp))
    return _with_script(shown, SCRIPTS[touch]) if touch else shown


def _marked(page: bytes) -> bytes:
    """Mark the places of one of our own pages that may be goals."""
    for name, beginnings in PLACES.items():
        for beginning in beginnings:
            tag, _, rest = beginning.partition(" ")
            page = page.replace(beginning.encode(), f'{tag} {MARK}="{name}" {rest}'.encode())
    return page


def _with_script(rendered: Rendered, script: str) -> Rendered:
    """Let one script of ours run in the page, in an origin that is nobody's."""
    nonce = secrets.token_urlsafe(NONCE_BYTES)
    ours = f'<script nonce="{nonce}">{script}</script></body>'.encode()
    csp = f"{rendered.csp}; script-src 'nonce-{nonce}'; sandbox allow-scripts"
    return Rendered(html=rendered.html.replace(b"</body>", ours, 1), csp=csp)


def _with_bar(rendered: Rendered) -> Rendered:
    """Say on the page itself why its button and its form do nothing."""
    if "'unsafe-inline'" in rendered.csp:  # an imported page may style itself, and need not have a head or an end
        added = f'<style>{BAR_STYLE}</style><p class="gh-preview" lang="en" dir="ltr">{BAR_WORDS}</p>'
        return Rendered(html=rendered.html + added.encode(), csp=rendered.csp)
    style = f"<style>{BAR_STYLE}</style></head>".encode()
    bar = f'<p class="gh-preview" lang="en" dir="ltr">{BAR_WORDS}</p></body>'.encode()
    page = rendered.html.replace(b"</head>", style, 1).replace(b"</body>", bar, 1)
    digest = base64.b64encode(hashlib.sha256(BAR_STYLE.encode()).digest()).decode()
    return Rendered(html=page, csp=rendered.csp.replace("style-src ", f"style-src 'sha256-{digest}' ", 1))


def _policy(csp: str) -> str:
    directives = dict(part.partition(" ")[::2] for part in csp.split("; "))
    shown = {name: value for name, value in directives.items() if name not in DROPPED}
    return "; ".join(f"{name} {value}" for name, value in (shown | OVERRIDES).items())


def _detached(page: bytes, experiment: Experiment, frame: PageFrame) -> bytes:
    """Replace addresses below the page's own: by what they lead to, or by what they hold; the script goes."""
    page = page.replace(SCRIPT, b"")
    spec = surroundings.agreed(experiment).brief
    links = {"cta": spec.call_to_action.url, "more": spec.secondary_link.url if spec.secondary_link else None}
    for name, url in links.items():
        page = page.replace(f'href="go/{name}"'.encode(), f'href="{html.escape(url or "#form")}"'.encode())
    shown = [image for image in [*frame.images.values(), frame.logo] if image and f'"i/{image.file}"'.encode() in page]
    files = {image.file.partition(".")[0]: image.file for image in shown}
    for sha256, picture in surroundings.picture_bytes(files).items():
        inside = f'"data:{picture.content_type};base64,{base64.b64encode(picture.identity).decode()}"'
        page = page.replace(f'"i/{files[sha256]}"'.encode(), inside.encode())
    return page
