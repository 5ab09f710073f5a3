"""Forget a person: delete what is kept of a visitor or of a lead, and drop what still arrives of them.

Totals stay: reports stand on EpochCount, which knows nobody. A visitor's id is random and lies in one browser's cookie;
only a digest of it is kept, for as long as that cookie could live, so that what a slow journal or another server still
brings is not written down again.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from hashlib import sha256

from django.db import transaction

from experiments.models import Conversion, Exposure, ForgottenVisitor, KeyedVisitor, Lead, RefusedRecord

# A cookie lives for 13 months at most, and a lead's sender was exposed no longer before and hardly after it.
COOKIE_LIFE = timedelta(days=400)
CLOCKS_DIFFER_BY = timedelta(days=1)


def digest_of(visitor: str) -> str:
    """Return what is remembered of a forgotten visitor. No salt: 128 random bits cannot be guessed from a table."""
    return sha256(visitor.encode()).hexdigest()


def forgotten_among(experiments: Collection[int]) -> set[tuple[int, str]]:
    """Return the forgotten visitors of these experiments, each as experiment and digest."""
    rows = ForgottenVisitor.objects.filter(experiment__in=experiments)
    return set(rows.values_list("experiment_id", "digest"))


@transaction.atomic
def forget_visitor(experiment_id: int, visitor: str, *, exposed: tuple[datetime, datetime]) -> bool:
    """Delete a visitor's rows in one experiment, and remember not to write them again; tell whether that is new.

    `exposed` says between which times the visitor was exposed: the tables are kept in the order of exposures.
    """
    _, is_new = ForgottenVisitor.objects.get_or_create(experiment_id=experiment_id, digest=digest_of(visitor))
    Exposure.objects.filter(experiment=experiment_id, visitor=visitor, exposed_at__range=exposed).delete()
    Conversion.objects.filter(experiment=experiment_id, visitor=visitor, exposed_at__range=exposed).delete()
    Lead.objects.filter(experiment=experiment_id, visitor=visitor).delete()
    KeyedVisitor.objects.filter(experiment=experiment_id, visitor=visitor).delete()
    RefusedRecord.objects.filter(record__contains=visitor).delete()
    return is_new


@transaction.atomic
def erase_lead(lead: Lead) -> None:
    """Delete a lead, and all that is kept of the visitor who sent it."""
    if lead.visitor:
        exposed = (lead.submitted_at - COOKIE_LIFE, lead.submitted_at + CLOCKS_DIFFER_BY)
        forget_visitor(lead.experiment_id, lead.visitor, exposed=exposed)
    RefusedRecord.objects.filter(record__contains=lead.lead_id).delete()
    Lead.objects.filter(pk=lead.pk).delete()
