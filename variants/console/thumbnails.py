"""Serve the pictures of variants' pages that a look in a browser took: by their hash, to who may see variants."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.decorators import login_required, permission_required
from django.db.models import F, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from variants.models import Picture, Variant

PHONE: Final = 390  # pixels wide
DESKTOP: Final = 1280
CONTENT_TYPE: Final = "image/webp"
# The address names the bytes, so they never change; they are for this reader alone.
CACHED: Final = "private, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thumbnail:
    data: bytes
    content_type: str
    sha256: str
    width: int
    height: int


def thumbnail_urls(variant_ids: Iterable[int], width: int) -> dict[int, str]:
    """Return the addresses of the pictures of these variants, of those that have one of their present content."""
    shown = _of_today().filter(variant__in=list(variant_ids), width=width).values_list("variant_id", "sha256")
    return {pk: reverse("thumbnail", args=[pk, width, sha256]) for pk, sha256 in shown}


def thumbnail_of(variant_id: int, width: int) -> Thumbnail | None:
    """Return a picture's bytes, for who answers for whom they are shown to."""
    picture = _of_today().filter(variant=variant_id, width=width).first()
    if picture is None:
        return None
    return Thumbnail(
        data=bytes(picture.data),
        content_type=CONTENT_TYPE,
        sha256=picture.sha256,
        width=picture.width,
        height=picture.height,
    )


def _of_today() -> QuerySet[Picture]:
    """Leave out pictures of pages that were edited since."""
    is_edited = Q(variant__status=Variant.Status.DRAFT, variant__reviewed_at__gt=F("variant__page_check__looked_at"))
    return Picture.objects.exclude(is_edited)


@require_safe
@login_required
@permission_required("variants.view_variant", raise_exception=True)
def thumbnail(request: HttpRequest, variant_id: int, width: int, sha256: str) -> HttpResponse:
    """Answer with a picture; one that was replaced is not there any more."""
    picture = Picture.objects.filter(variant=variant_id, width=width, sha256=sha256).first()
    if picture is None:
        raise Http404
    answer = HttpResponse(bytes(picture.data), content_type=CONTENT_TYPE)
    answer["Cache-Control"] = CACHED
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
