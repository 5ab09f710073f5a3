"""Turn a variant into what a visitor would meet on its page: its faults, and its pictures.

    variant ──▶ rendered as deployment does ──▶ read without a browser (page_health.py) ──▶ Seen
                           └─ served by a visitor tier of its own (stage.py) ──▶ looked at (chromium.py) ─┘

Nothing is written here. Of an imported page, what today's page has too is no fault of a variant.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from experiments import deployment, surroundings
from experiments.deployment import Imports, Trial
from experiments.models import Experiment, Goal
from experiments.rehearsal.stage import Rehearsal, rehearsal
from experiments.splitter import stores
from variants.browser import Answered, Asked, BrowserFailed, LookAt, Visit
from variants.content import PageContent
from variants.models import PageCheck, Variant
from variants.page_health import Expected, Fault, added, static_faults, without_better_seen
from variants.patches import PatchContent
from variants.renderer import BadFrame, PageFrame

logger = logging.getLogger(__name__)

Outcome = PageCheck.Outcome

OWN_BUTTON = 'a[href="#form"], a[href="go/cta"], form[action="form"] [type=submit]'
OWN_FORM = 'form[action="form"]'
TRIED = (Goal.Kind.CLICK, Goal.Kind.FORM)  # the other goals are reported by other pages and servers
NO_BROWSER = "no Chromium is installed where Greenhouse runs; your operator can add one"
SENT = 303  # the answer to a form that was taken
LED = 302


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of looking at one page."""

    outcome: PageCheck.Outcome
    sha256: str = ""  # of all that this is true of
    faults: Sequence[Fault] = ()
    pictures: Mapping[int, bytes] = field(default_factory=dict)  # PNG by width


def failed(why: str) -> Seen:
    return Seen(outcome=Outcome.FAILED, faults=[Fault(kind="unchecked", detail=why)])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """What all pages of an experiment share."""

    experiment: Experiment
    frame: PageFrame
    pictures: Mapping[str, stores.Blob]
    goals: Sequence[Goal]


class Looks:
    """Looks at variants, one after the other; what they share is read once."""

    def __init__(self, look_at: LookAt | None) -> None:
        self._look_at = look_at  # None: there is no browser
        self._sites: dict[int, _Site] = {}  # by nursery
        self._today: dict[tuple[int, int], Sequence[Fault]] = {}  # by experiment and imported page

    def at(self, variant: Variant, known: PageCheck) -> Seen | None:
        """Return what is to be seen; None if nothing has changed since the look that is `known`."""
        try:
            site = self._site(variant)
            imports = deployment.imported_pages([variant])
            content = variant.patch or variant.page
            trial = deployment.trial(site.experiment, content, site.frame, imports, site.pictures)
        except (ValidationError, BadFrame) as error:
            logger.warning("variant %s cannot be rendered: %s", variant.pk, error)
            return failed("the brief or the page has a fault; open and save both")
        sha256 = hashlib.sha256(json.dumps(trial.document, sort_keys=True).encode()).hexdigest()
        if known.sha256 == sha256 and known.outcome in {Outcome.BROWSER, self._best}:
            return None
        if isinstance(content, PatchContent):
            return replace(self._patched(site, content, trial, imports), sha256=sha256)
        return replace(self._own(site, content, trial), sha256=sha256)

    @property
    def _best(self) -> PageCheck.Outcome:
        return Outcome.BROWSER if self._look_at else Outcome.BYTES

    def _site(self, variant: Variant) -> _Site:
        if variant.nursery_id not in self._sites:
            related = Experiment.objects.select_related("nursery__brief__brand__logo")
            experiment = related.get(nursery=variant.nursery_id)
            self._sites[variant.nursery_id] = _Site(
                experiment=experiment,
                frame=deployment.page_frame(experiment),
                pictures=surroundings.pictures_of(experiment),
                goals=[goal for goal in experiment.goals.all() if goal.kind in TRIED],
            )
        return self._sites[variant.nursery_id]

    def _own(self, site: _Site, content: PageContent, trial: Trial) -> Seen:
        has_form = site.frame.has_form
        fields = [each.name for each in site.frame.form_fields] if has_form else []
        faults = static_faults(
            trial.page.html, Expected(links=trial.document["links"], fields=fields, is_form=has_form)
        )
        links = {goal.key: goal.link for goal in site.goals if goal.kind == Goal.Kind.CLICK}
        address = deployment.page_address(site.experiment)
        visit = Visit(
            address=address,
            thanks=f"{address}thanks" if has_form else "",
            button=OWN_BUTTON,
            presses={key: f'a[href="go/{link}"]' for key, link in links.items()},
            form=OWN_FORM if has_form else "",
        )
        without = {key for key, link in links.items() if f'href="go/{link}"'.encode() not in trial.page.html}
        unlinked = [Fault(kind="goals", place=key, detail=key) for key in sorted(without)]
        return self._looked([*faults, *unlinked], visit, trial, {goal.key for goal in site.goals} - without)

    def _patched(self, site: _Site, content: PatchContent, trial: Trial, imports: Imports) -> Seen:
        seen = self._imported(site, content, trial, imports)
        if not content.texts or seen.outcome == Outcome.FAILED:
            return seen
        key = (site.experiment.pk, content.page)
        if key not in self._today:
            unchanged = content.model_copy(update={"texts": {}})
            today = deployment.trial(site.experiment, unchanged, site.frame, imports, site.pictures)
            self._today[key] = self._imported(site, unchanged, today, imports).faults
        return replace(seen, faults=added(seen.faults, self._today[key]))

    def _imported(self, site: _Site, content: PatchContent, trial: Trial, imports: Imports) -> Seen:
        kept, _ = imports[content.page]
        names = {goal: deployment.link_key(kept, place) for place, goal in kept.goals.items()}
        presses = {
            goal: f'a[href$="go/{name}"], [data-greenhouse="{name}"]'
            for goal, name in names.items()
            if goal in {each.key for each in site.goals}
        }
        visit = Visit(
            address=deployment.page_address(site.experiment), button=", ".join(presses.values()), presses=presses
        )
        seen = self._looked(static_faults(trial.page.html), visit, trial, set(presses))
        return replace(seen, faults=_of_elsewhere(seen.faults))

    def _looked(self, faults: Sequence[Fault], visit: Visit, trial: Trial, goals: Collection[str]) -> Seen:
        """Look in a browser, and once more if it fails: a browser may die of what another page left behind."""
        if self._look_at is None:
            return Seen(outcome=Outcome.BYTES, faults=[*faults, Fault(kind="unchecked", detail=NO_BROWSER)])
        try:
            return _tried(self._look_at, faults, visit, trial, goals)
        except BrowserFailed as first:
            logger.warning("a page is looked at again: %s", first)
        try:
            return _tried(self._look_at, faults, visit, trial, goals)
        except BrowserFailed as second:
            logger.warning("a page could not be looked at: %s", second)
            return Seen(outcome=Outcome.FAILED, faults=[*faults, Fault(kind="unchecked", detail=str(second))])


def _tried(look_at: LookAt, faults: Sequence[Fault], visit: Visit, trial: Trial, goals: Collection[str]) -> Seen:
    with rehearsal(trial.document, trial.blobs, address=visit.address) as visitor:
        look = look_at(visit, lambda asked: _answered(visitor, asked))
        missed = [*_misled(trial, visitor), *_unsent(visit, visitor)]
        unreached = [Fault(kind="goals", place=key, detail=key) for key in sorted(set(goals) - visitor.reached())]
    found = [*without_better_seen(faults), *look.faults, *missed, *unreached]
    return Seen(outcome=Outcome.BROWSER, faults=found, pictures=look.pictures)


def _answered(visitor: Rehearsal, asked: Asked) -> Answered:
    answer = visitor.fetch(asked.method, asked.path, asked.query, asked.headers, asked.body)
    return Answered(status=answer.status, headers=answer.headers, body=answer.body)


def _misled(trial: Trial, visitor: Rehearsal) -> Iterator[Fault]:
    """Find links that were pressed and led to another place than the brief says."""
    for exchange in visitor.exchanges:
        _, go, name = exchange.path.partition("/go/")
        if go and exchange.status != LED:
            yield Fault(kind="links", place=f"go/{name}", detail="the visitor tier does not know it")


def _unsent(visit: Visit, visitor: Rehearsal) -> Iterator[Fault]:
    sent = [exchange.status for exchange in visitor.exchanges if exchange.method == "POST"]
    if visit.form and SENT not in sent:
        detail = "nothing is sent when it is filled in" if not sent else "what a visitor would fill in is refused"
        yield Fault(kind="sending", detail=detail)


def _of_elsewhere(faults: Sequence[Fault]) -> list[Fault]:
    """Put what an imported page loads from other sites in one sentence: that it does was its importer's choice."""
    hosts = sorted({fault.detail for fault in faults if fault.kind == "third_party"})
    others = [fault for fault in faults if fault.kind != "third_party"]
    return [*others, Fault(kind="elsewhere", detail=", ".join(hosts[:3]))] if hosts else others
