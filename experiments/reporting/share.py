"""Turn a ShareLink row into an address that opens one report without a login, and back.

The address carries the row's number and a 256-bit signature: it cannot be guessed, and a copy of the database does not
hold it. What it opens is looked up each time, so revoking works at once.
"""

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.signing import BadSignature, Signer
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from experiments.models import Experiment, ShareLink

_signer = Signer(salt="greenhouse.report-link", sep=".")  # a dot needs no escape in a path


def share_url(experiment: Experiment, *, by: AbstractBaseUser | None) -> str:
    """Return the absolute address of the experiment's report; make a link unless one is still good."""
    link = _good_links().filter(experiment=experiment).order_by("pk").last()
    if link is None:
        link = ShareLink.objects.create(experiment=experiment, created_by_id=by.pk if by else None)
    return settings.PUBLIC_URL + reverse("experiments:shared_report", args=[token_of(link)])


def revoke(experiment: Experiment) -> int:
    """Make every link to the experiment's report worthless at once; return how many there were."""
    return _good_links().filter(experiment=experiment).update(revoked_at=timezone.now())


def token_of(link: ShareLink) -> str:
    return _signer.sign(str(link.pk))


def shared_experiment(token: str) -> Experiment | None:
    """Return the experiment a token opens; None for a forged, revoked, expired or unknown one alike."""
    try:
        number = int(_signer.unsign(token))
    except (BadSignature, ValueError):
        return None
    link = _good_links().select_related("experiment").filter(pk=number).first()
    return link.experiment if link else None


def _good_links() -> QuerySet[ShareLink]:
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    return ShareLink.objects.filter(unexpired, revoked_at__isnull=True)
