"""Render arms to bytes, publish snapshots, roll back.

A deployment says which bytes each arm is; a snapshot is a deployment together with status, shares and goals, under a
sequence number that only grows. Blobs go to Redis before the snapshot that names them, and the snapshot goes in one
compare-and-set: a visitor sees the old picture or the new one.
"""

import gzip
import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import brotli
from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F

from experiments import surroundings
from experiments.models import Arm, Blob, Deployment, Experiment, Goal
from experiments.splitter import stores
from experiments.store import store
from experiments.surroundings import Picture
from variants.brief import BriefSpec
from variants.content import PageContent
from variants.imported import FORM_ANCHOR, Import, render_import
from variants.importing import import_of
from variants.models import ImportedPage, Variant
from variants.patches import KIND as PATCH
from variants.patches import PatchContent
from variants.renderer import PageFrame, PageImage, PageLink, Rendered, render_form_page, render_page, render_thanks

logger = logging.getLogger(__name__)

DEPLOY_TASK = "experiments.tasks.deploy"
HTML = "text/html; charset=utf-8"
LEAST_COOKIE_AGE = timedelta(days=90)
MAIN_LINK, SECOND_LINK = "cta", "more"
FILE_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
# A page is compressed once and sent many times. Measured on 16 kB pages: brotli's best takes 25 ms, gzip's 1 ms.
BROTLI_QUALITY, GZIP_LEVEL = 11, 9
# An imported page may be megabytes, at which the best takes half a minute and the next but one a second.
QUICK_BROTLI_QUALITY, LARGE_BYTES = 9, 500_000
BLOBS_PER_QUERY = 200


type Imports = Mapping[int, tuple[ImportedPage, Import]]


def request(experiment: Experiment, *, reason: str) -> None:
    """Have a worker deploy the experiment once the surrounding transaction is committed."""
    # By name: the task stands in a door, and doors import this module, not the other way round.
    task = current_app.signature(DEPLOY_TASK, args=(experiment.pk, reason))
    # Robust: with the broker down the experiment is running all the same, and `undeployed` finds it.
    transaction.on_commit(task.apply_async, robust=True)


def deploy(experiment: Experiment, *, reason: str) -> Deployment:
    """Render every arm, keep the bytes, and make them the ones that are served. Repeating it changes nothing seen."""
    if experiment.surroundings is None:
        surroundings.agree(experiment)  # it was started when pages still followed their brief
    arms = list(experiment.arms.select_related("variant"))
    frame = page_frame(experiment)
    imports = imported_pages([arm.variant for arm in arms])
    pages = {arm.key: _keep_pages(arm.variant, frame, imports, experiment) for arm in arms}
    site = _site(experiment, frame, imports)
    with transaction.atomic():
        locked = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if locked.surroundings != experiment.surroundings:
            # Race: others were agreed to or brought back meanwhile, and their pages may be live already.
            return deploy(locked, reason=reason)
        last = locked.deployments.last()
        made = Deployment.objects.create(
            experiment=locked, number=last.number + 1 if last else 1, pages=pages, site=site, reason=reason,
            surroundings=experiment.surroundings, surroundings_at=experiment.surroundings_at,
        )  # fmt: skip
        Experiment.objects.filter(pk=locked.pk).update(deployment=made)
    publish(experiment)
    return made


def roll_back(experiment: Experiment) -> Deployment:
    """Serve the bytes of the deployment before the present one. Raise Deployment.DoesNotExist if there is none."""
    experiment.refresh_from_db()
    if experiment.deployment is None:
        raise Deployment.DoesNotExist(f"{experiment.slug} was never deployed")
    earlier = deployment_before(experiment)
    if earlier is None:
        raise Deployment.DoesNotExist(f"{experiment.slug} has no earlier deployment")
    # What it was made with comes back too, or the next variant would bring again what was rolled back.
    # And so does the time: whoever changed it since is to be kept from putting it there alone once more.
    made_with = {"surroundings": earlier.surroundings, "surroundings_at": earlier.surroundings_at}
    with transaction.atomic():
        mine = Experiment.objects.filter(pk=experiment.pk, deployment=experiment.deployment)
        if mine.update(deployment=earlier, **(made_with if earlier.surroundings else {})):
            Deployment.objects.filter(pk=experiment.deployment.pk).update(is_withdrawn=True)
    publish(experiment)
    return earlier


def deployment_before(experiment: Experiment) -> Deployment | None:
    """Return what a roll-back would serve; never what somebody rolled back from."""
    if experiment.deployment is None:
        return None
    return experiment.deployments.filter(number__lt=experiment.deployment.number, is_withdrawn=False).last()


def wait_until_deployed(experiment: Experiment, *, seconds: float) -> bool:
    """Wait for a worker to deploy an experiment that was just started; tell whether it did."""
    for _ in range(int(seconds / 0.1)):
        if Experiment.objects.filter(pk=experiment.pk, deployment__isnull=False).exists():
            return True
        time.sleep(0.1)
    return False


def publish(experiment: Experiment) -> int:
    """Publish what the database says now and return the snapshot's sequence. Raise StoreUnavailable."""
    with transaction.atomic():
        # Race: sequence and content are read under one lock, so a higher sequence is never an older picture.
        experiment = Experiment.objects.select_for_update().get(pk=experiment.pk)
        if experiment.deployment is None:
            return experiment.sequence
        Experiment.objects.filter(pk=experiment.pk).update(sequence=F("sequence") + 1)
        experiment.refresh_from_db()
        document = snapshot(experiment)
    _put_missing_blobs(_blob_names(document))
    store().publish(experiment.slug, experiment.sequence, json.dumps(document, separators=(",", ":")))
    return experiment.sequence


def undeployed(*, before: datetime) -> list[Experiment]:
    """Return the experiments started before `before` that no worker has deployed."""
    return list(Experiment.objects.filter(started_at__lt=before, deployment__isnull=True))


def republish_missing() -> list[str]:
    """Publish every experiment whose snapshot in Redis is missing or old; return their slugs.

    This refills an emptied Redis and repeats publications that failed.
    """
    published = store().sequences()
    started = Experiment.objects.filter(deployment__isnull=False)
    behind = [experiment for experiment in started if published.get(experiment.slug, -1) < experiment.sequence]
    for experiment in behind:
        publish(experiment)
    return [experiment.slug for experiment in behind]


def snapshot(experiment: Experiment) -> dict[str, Any]:
    """Return the document that the visitor tier serves from (experiments/splitter/snapshot.py reads it)."""
    if experiment.deployment is None:
        raise ValueError(f"{experiment.slug} was never deployed")
    arms = list(experiment.arms.select_related("variant"))
    goals = list(experiment.goals.all())
    allocation = experiment.allocations.last()
    live = {arm.key for arm in arms if arm.status == Arm.Status.LIVE and arm.key in experiment.deployment.pages}
    shares = {key: share for key, share in (allocation.shares if allocation else {}).items() if key in live}
    return {
        "sequence": experiment.sequence,
        "experiment": experiment.pk,
        "slug": experiment.slug,
        "address": experiment.address,
        "status": experiment.status,
        "salt": experiment.salt,
        "traffic_share": experiment.traffic_share,
        "epoch": allocation.epoch if allocation else 0,
        "shares": shares,
        "control": next(arm.key for arm in arms if arm.is_control),
        "winner": experiment.winner.key if experiment.winner else None,
        "consent_required": experiment.consent_required,
        "confirm_exposures": experiment.confirm_exposures,
        "cookie_seconds": int(max([LEAST_COOKIE_AGE, *(goal.window for goal in goals)]).total_seconds()),
        "goals": [_goal(goal) for goal in goals],
        "arms": experiment.deployment.pages,
        **experiment.deployment.site,
    }


def _goal(goal: Goal) -> dict[str, Any]:
    window_seconds = int(goal.window.total_seconds())
    return {"key": goal.key, "kind": goal.kind, "window_seconds": window_seconds, "primary": goal.is_primary}


def page_frame(experiment: Experiment) -> PageFrame:
    """Return what stands around the words of each of the experiment's pages."""
    around = surroundings.agreed(experiment)
    spec, brand = around.brief, around.brand
    second = spec.secondary_link
    return PageFrame(
        brand_name=brand.name,
        primary_colour=brand.primary_colour,
        accent_colour=brand.accent_colour,
        call_to_action_href=_main_href(spec, _links(experiment, spec)),
        logo=page_image(brand.logo) if brand.logo else None,
        legal_footer=brand.legal_footer,
        privacy_url=brand.privacy_url or None,
        language=spec.language,
        secondary_link=PageLink(label=second.label, href=f"go/{SECOND_LINK}") if second else None,
        form_fields=tuple(spec.form_fields),
        has_form=spec.call_to_action.kind == "form",
        thank_you=spec.thank_you,
        images={picture.name: page_image(picture) for picture in brand.pictures},
        asks_consent=experiment.consent_required,
    )


def _main_href(spec: BriefSpec, links: dict[str, Any]) -> str:
    # A button that only scrolls to the form needs no round trip, unless the click itself is a goal.
    return f"go/{MAIN_LINK}" if spec.call_to_action.kind == "link" or links[MAIN_LINK]["goals"] else FORM_ANCHOR


def page_image(picture: Picture) -> PageImage:
    """Return how pages name an uploaded picture."""
    file = f"{picture.sha256}.{FILE_ENDINGS[picture.content_type]}"
    return PageImage(file=file, alt=picture.alt, width=picture.width, height=picture.height)


def _site(experiment: Experiment, frame: PageFrame, imports: Imports) -> dict[str, Any]:
    around = surroundings.agreed(experiment)
    form_goals = [goal.key for goal in experiment.goals.all() if goal.kind == Goal.Kind.FORM]
    fields = [
        {**field.model_dump(exclude={"is_required"}), "required": field.is_required}
        for field in around.brief.form_fields
    ]
    return {
        "links": _links(experiment, around.brief) | _imported_links(imports),
        "own_host": has_own_scripts(experiment),
        "form": {"goals": form_goals, "fields": fields} if frame.has_form else None,
        "images": {page_image(picture).file: picture.sha256 for picture in around.brand.pictures},
    }


def _links(experiment: Experiment, spec: BriefSpec) -> dict[str, Any]:
    goals = [goal for goal in experiment.goals.all() if goal.kind == Goal.Kind.CLICK]
    urls = {MAIN_LINK: spec.call_to_action.url or FORM_ANCHOR}
    if spec.secondary_link:
        urls[SECOND_LINK] = spec.secondary_link.url
    return {
        name: {"url": url, "goals": [goal.key for goal in goals if goal.link == name], "token": False}
        for name, url in urls.items()
    }


def imported_pages(variants: Iterable[Variant]) -> Imports:
    """Return the imported pages that these variants change, each once, by the number that their patches give them."""
    wanted = {variant.patch.page for variant in variants if variant.patch}
    return {kept.pk: (kept, import_of(kept)) for kept in ImportedPage.objects.filter(pk__in=wanted)}


def has_own_scripts(experiment: Experiment) -> bool:
    """Tell whether a page of the experiment brings scripts of its own."""
    return any(page.keeps_scripts for page in imported_in_use(experiment))


def imported_in_use(experiment: Experiment) -> list[ImportedPage]:
    """Return the imported pages that variants change, without their sources."""
    patches = experiment.nursery.variants.filter(content__kind=PATCH).exclude(status=Variant.Status.REJECTED)
    used = set(patches.values_list("content__page", flat=True))
    return list(ImportedPage.objects.filter(pk__in=used).defer("source", "outline"))


def page_address(experiment: Experiment) -> str:
    """Return where visitors find the page. One with scripts of its own is on another host than the console."""
    if experiment.address:
        return experiment.address
    own = settings.PAGES_URL if has_own_scripts(experiment) else ""  # without one it cannot start (lifecycle.py)
    site = own or settings.PUBLIC_URL
    return f"{site}/p/{experiment.slug}/"


def link_key(kept: ImportedPage, place: str) -> str:
    """Return the name under go/ of what is picked on an imported page."""
    return f"{place}-{kept.pk}"  # places of different pages bear the same names


def _imported_links(imports: Imports) -> dict[str, Any]:
    """Return what is picked on imported pages as links: one that leads nowhere else is only counted."""
    found = {}
    for kept, page in imports.values():
        leading = {link.id: page.destination(link) for link in page.outline.links}
        for place, goal in kept.goals.items():
            url = leading.get(place) or FORM_ANCHOR
            found[link_key(kept, place)] = {"url": url, "goals": [goal], "token": False}
    return found


def _import_pages(patch: PatchContent, imports: Imports, experiment: Experiment) -> dict[str, Rendered | None]:
    kept, page = imports[patch.page]
    picked = {place: link_key(kept, place) for place in kept.goals}
    rendered = render_import(page, patch, picked=picked, address=page_address(experiment))
    return {"page": rendered, "form": None, "thanks": rendered}


def _pages(
    content: PageContent | PatchContent, frame: PageFrame, imports: Imports, experiment: Experiment
) -> dict[str, Rendered | None]:
    """Render what an arm answers: its page, the form shown again, the page after the form."""
    if isinstance(content, PatchContent):
        return _import_pages(content, imports, experiment)
    return {
        "page": render_page(content, frame),
        "form": render_form_page(content, frame) if frame.has_form else None,
        "thanks": render_thanks(content, frame),
    }


def _keep_pages(variant: Variant, frame: PageFrame, imports: Imports, experiment: Experiment) -> dict[str, str | None]:
    rendered = _pages(variant.patch or variant.page, frame, imports, experiment)
    return {name: _keep(page) if page else None for name, page in rendered.items()}


def _keep(rendered: Rendered) -> str:
    kept = Blob(sha256=hash_of(rendered), data=rendered.html, content_type=HTML, csp=rendered.csp)
    Blob.objects.bulk_create([kept], ignore_conflicts=True)
    return kept.sha256


def hash_of(rendered: Rendered) -> str:
    """Return the name under which a page is kept: it stands for its bytes and its policy."""
    return hashlib.sha256(rendered.csp.encode() + b"\0" + rendered.html).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A snapshot in which everyone gets one page, and all that it names: what a rehearsal serves from memory."""

    document: dict[str, Any]
    blobs: dict[str, stores.Blob]
    page: Rendered


def trial(
    experiment: Experiment,
    content: PageContent | PatchContent,
    frame: PageFrame,
    imports: Imports,
    pictures: Mapping[str, stores.Blob],
) -> Trial:
    """Return what visitors would get of a page if it were live and alone. Nothing is kept, and nothing is published.

    `pictures` are the brand's, by the hash of their bytes, read once for many pages.
    """
    rendered = _pages(content, frame, imports, experiment)
    named = {name: (hash_of(page), page) for name, page in rendered.items() if page}
    pages = {sha: stores.Blob(identity=page.html, content_type=HTML, csp=page.csp) for sha, page in named.values()}
    document = {
        "sequence": 1,
        "experiment": experiment.pk,
        "slug": experiment.slug,
        "address": experiment.address,
        "status": Experiment.Status.RUNNING.value,
        "salt": experiment.salt,
        "epoch": 1,
        "shares": {"page": 1.0},
        "control": "page",
        "consent_required": experiment.consent_required,
        "cookie_seconds": int(LEAST_COOKIE_AGE.total_seconds()),
        "goals": [_goal(goal) for goal in experiment.goals.all()],
        "arms": {"page": {name: named[name][0] if name in named else None for name in rendered}},
        **_site(experiment, frame, imports),
    }
    return Trial(document=document, blobs=pages | dict(pictures), page=named["page"][1])


def _blob_names(document: dict[str, Any]) -> set[str]:
    pages = {sha for page in document["arms"].values() for sha in page.values() if sha}
    return pages | set(document["images"].values())


def _put_missing_blobs(names: Iterable[str]) -> None:
    wanted = set(names)
    missing = sorted(wanted - store().has_blobs(wanted))
    for start in range(0, len(missing), BLOBS_PER_QUERY):
        for blob in Blob.objects.filter(sha256__in=missing[start : start + BLOBS_PER_QUERY]):
            store().put_blob(blob.sha256, _compressed(blob))


def _compressed(blob: Blob) -> stores.Blob:
    data = bytes(blob.data)
    # Places between NUL bytes are filled by the visitor tier, which needs the page plain; images are packed already.
    is_fixed_text = blob.content_type == HTML and b"\0" not in data
    quality = BROTLI_QUALITY if len(data) < LARGE_BYTES else QUICK_BROTLI_QUALITY
    return stores.Blob(
        identity=data,
        br=brotli.compress(data, quality=quality) if is_fixed_text else None,
        gzip=gzip.compress(data, GZIP_LEVEL, mtime=0) if is_fixed_text else None,
        content_type=blob.content_type,
        csp=blob.csp or None,
    )
