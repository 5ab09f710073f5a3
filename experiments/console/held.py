"""Say, after a brief was saved, whose pages are being held against it, and where what comes of it will stand."""

from collections import Counter
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from experiments.console.overview import misfits_url
from experiments.models import Experiment
from experiments.reporting import wording
from variants import recheck
from variants.models import Brief

MOST_NAMED: Final = 4


def told(brief: Brief) -> SafeString:
    """Return a sentence with links; empty where nothing has to be held against the brief anew."""
    numbers = Counter(recheck.to_hold(brief).values_list("nursery__experiment", flat=True))
    numbers.pop(None, None)  # type: ignore[call-overload]  # of a nursery that has no experiment
    found = list(Experiment.objects.filter(pk__in=numbers).order_by("-pk").values_list("pk", "name"))
    if not found:
        return SafeString("")
    named = [(wording.count_of(numbers[pk], "page"), misfits_url(pk), name) for pk, name in found[:MOST_NAMED]]
    rest = sum(numbers[pk] for pk, _ in found[MOST_NAMED:])
    return format_html(
        "Now held against the new brief: {}{}. What no longer matches is marked there in a moment; what is live stays "
        "live until you decide.",
        format_html_join(", ", '{} of <a class="underline" href="{}">“{}”</a>', named),
        f" and {wording.count_of(rest, 'page')} of other experiments" if rest else "",
    )
