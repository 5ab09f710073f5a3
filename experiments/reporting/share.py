"""Turn a ShareLink row into addresses that open one report, or its card, without a login; and back.

An address carries the row's number and a 256-bit signature: it cannot be guessed, and a copy of the database does not
hold it. What it opens is looked up each time, so revoking works at once. The card's address is signed for the card
alone: it stands in other people's pages, where anybody can read it, and must not open the report.
"""

import logging
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.core.signing import BadSignature, Signer
from django.db import OperationalError, transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from experiments.models import Experiment, ShareLink

logger = logging.getLogger(__name__)

USE_NOTED_EVERY = timedelta(minutes=10)  # an open report asks every few seconds

_signer = Signer(salt="greenhouse.report-link", sep=".")  # a dot needs no escape in a path
_card_signer = Signer(salt="greenhouse.report-card", sep=".")


def share_url(experiment: Experiment, *, by: AbstractBaseUser | None) -> str:
    """Return the absolute address of the experiment's report; make a link unless one without a name is still good."""
    link = good_links(experiment).filter(name="").order_by("pk").last()
    return url_of(link or make_link(experiment, by=by))


def make_link(experiment: Experiment, *, by: AbstractBaseUser | None, name: str = "") -> ShareLink:
    """Make a further link, to be revoked by itself."""
    return ShareLink.objects.create(experiment=experiment, name=name, created_by_id=by.pk if by else None)


def revoke(experiment: Experiment, link_id: int | None = None) -> int:
    """Make every link to the experiment's report worthless at once, or one; return how many there were."""
    links = good_links(experiment)
    return (links if link_id is None else links.filter(pk=link_id)).update(revoked_at=timezone.now())


def made_words(link: ShareLink) -> str:
    """Say in a history that a link was made."""
    return f"Made a link to the report for “{link.name}”." if link.name else "Shared the report by link."


def revoked_words(link: ShareLink) -> str:
    """Say in a history that a link was taken back."""
    return f"Took back the link for “{link.name}”." if link.name else "Took back a link to the report."


def url_of(link: ShareLink) -> str:
    """Return the absolute address of the report."""
    return settings.PUBLIC_URL + reverse("experiments:shared_report", args=[token_of(link)])


def card_url_of(link: ShareLink) -> str:
    """Return the absolute address of the card, for an <iframe>."""
    return settings.PUBLIC_URL + reverse("experiments:report_card", args=[_card_signer.sign(str(link.pk))])


def token_of(link: ShareLink) -> str:
    return _signer.sign(str(link.pk))


def shared_experiment(token: str) -> Experiment | None:
    """Return the experiment a token opens; None for a forged, revoked, expired or unknown one alike."""
    return _opened(_signer, token)


def carded_experiment(token: str) -> Experiment | None:
    """Return the experiment whose card a token opens; None in the same cases."""
    return _opened(_card_signer, token)


def good_links(experiment: Experiment | None = None) -> QuerySet[ShareLink]:
    """Return the links that open something, of one experiment or of all."""
    unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    links = ShareLink.objects.filter(unexpired, revoked_at__isnull=True)
    return links if experiment is None else links.filter(experiment=experiment)


def _opened(signer: Signer, token: str) -> Experiment | None:
    try:
        number = int(signer.unsign(token))
    except (BadSignature, ValueError):
        return None
    link = good_links().select_related("experiment").prefetch_related("experiment__goals").filter(pk=number).first()
    if link is None:
        return None
    _note_use(link)
    return link.experiment


def _note_use(link: ShareLink) -> None:
    now = timezone.now()
    if link.last_used_at is not None and now - link.last_used_at <= USE_NOTED_EVERY:
        return
    try:
        with transaction.atomic():
            ShareLink.objects.filter(pk=link.pk).update(last_used_at=now)
    except OperationalError:
        # Somebody reads a report: that the database takes no writes just now is no reason to refuse.
        logger.warning("that report link %d was used could not be noted", link.pk)
