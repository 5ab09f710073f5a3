"""The API's part about pages from elsewhere: import one as the control, pick goals on it.

Patches of it are variants like any other: POST /experiments/{id}/variants with
`{"content": {"kind": "patch", "page": …, "angle": …, "texts": {id: words}}}`.
"""

from http import HTTPStatus
from typing import Annotated, Literal

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from pydantic import ConfigDict, Field

from experiments.models import Experiment
from variants.importing import CannotImport, import_page, pick, place_of, read_page, rebuild
from variants.models import ImportedPage, Variant
from variants.outline import Outline, outline_from_json
from variants.page_import import PageNotFetched, fetch
from variants.patches import limit_of
from variants.problems import Conflict, Invalid, Problem, require

router = Router(tags=["import"])

MOST_PASTED = 2_000_000  # characters; a larger page is fetched by its address, or uploaded in the console
SCRIPTS = "variants.import_scripts"
NOT_A_DRAFT = "A page can only be imported while the experiment is a draft: it becomes the control."


class ImportIn(Schema):
    """A page by its address, or by its source; with `html`, `url` only says where it belongs."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(max_length=2000)] = ""
    html: Annotated[str, Field(max_length=MOST_PASTED)] | None = None
    mode: Literal["as_it_is", "rebuilt"] = "as_it_is"
    keep_scripts: bool = False
    allow_others: bool = False  # may load fonts, pictures and the like from other sites


class PlaceOut(Schema):
    id: str
    kind: str
    text: str
    goal: str = ""
    limit: int | None = None  # characters that may stand in place of a text


class ImportOut(Schema):
    id: int  # of the control
    page: int | None  # of the imported page, which patches name; none if it was rebuilt
    title: str
    headline: str
    texts: list[PlaceOut]
    links: list[PlaceOut]
    buttons: list[PlaceOut]
    forms: list[PlaceOut]
    remarks: list[str]


class PickIn(Schema):
    model_config = ConfigDict(extra="forbid")

    place: str  # the id of a link, button or form
    goal: str  # the key of one of the experiment's goals; empty takes it back


@router.post("/experiments/{experiment_id}/import", response={201: ImportOut})
def import_existing(request: HttpRequest, experiment_id: int, payload: ImportIn) -> Status[ImportOut]:
    """Make an existing page the control of a draft; 422 says why it cannot be."""
    user = require(request, "variants.add_variant")
    if payload.keep_scripts:
        require(request, SCRIPTS)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if experiment.status != Experiment.Status.DRAFT:
        raise Conflict(NOT_A_DRAFT)
    control, remarks, outline = _imported(experiment, payload, user)
    page = control.patch.page if control.patch else None
    made = _out(control, page, remarks, outline, {})
    return Status(HTTPStatus.CREATED, made)


def _imported(experiment: Experiment, payload: ImportIn, user: User) -> tuple[Variant, list[str], Outline]:
    try:
        data, content_type, address = _source(payload)
        reading = read_page(
            data,
            address=address,
            content_type=content_type,
            keeps_scripts=payload.keep_scripts and payload.mode == "as_it_is",
            allows_others=payload.allow_others,
        )
        if payload.mode == "rebuilt":
            rebuilt = rebuild(experiment.nursery, reading, by=user)
            return rebuilt.control, list(rebuilt.remarks), reading.page.outline
        control = import_page(experiment.nursery, reading, by=user)
    except (CannotImport, PageNotFetched) as error:
        field = "url" if payload.html is None else "html"
        raise Invalid([{"field": field, "reason": str(error)}]) from error
    return control, list(reading.remarks), reading.page.outline


def _source(payload: ImportIn) -> tuple[bytes, str, str]:
    """Return the page's bytes, what they were called, and where they belong."""
    if payload.html is not None:
        return payload.html.encode("utf-8", "replace"), "text/html; charset=utf-8", payload.url
    if not payload.url:
        raise Invalid([{"field": "url", "reason": "Give the page's address, or its source as html."}])
    found = fetch(payload.url)
    return found.data, found.content_type, found.address


def _out(control: Variant, page: int | None, remarks: list[str], outline: Outline, goals: dict[str, str]) -> ImportOut:
    texts = [PlaceOut(id=text.id, kind=text.kind, text=text.text, limit=limit_of(text)) for text in outline.texts]
    links = [
        PlaceOut(
            id=link.id,
            kind="button" if link.looks_like_button else "link",
            text=link.label or link.address,
            goal=goals.get(link.id, ""),
        )
        for link in outline.links
    ]
    buttons = [
        PlaceOut(id=button.id, kind="button", text=button.label, goal=goals.get(button.id, ""))
        for button in outline.buttons
    ]
    forms = [PlaceOut(id=form.id, kind="form", text=form.label, goal=goals.get(form.id, "")) for form in outline.forms]
    return ImportOut(
        id=control.pk, page=page, title=outline.title, headline=outline.headline,
        texts=texts, links=links, buttons=buttons, forms=forms, remarks=remarks,
    )  # fmt: skip


@router.get("/experiments/{experiment_id}/import", response=ImportOut)
def read_import(request: HttpRequest, experiment_id: int) -> ImportOut:
    """Return the texts, links, buttons and forms of the page that is the control."""
    require(request, "variants.view_variant")
    control, kept = _kept(experiment_id)
    return _out(control, kept.pk, kept.remarks, outline_from_json(kept.outline), kept.goals)


@router.post("/experiments/{experiment_id}/import/goals", response=ImportOut)
def pick_goal(request: HttpRequest, experiment_id: int, payload: PickIn) -> ImportOut:
    """Let a goal be reached by a link, button or form of the imported page."""
    require(request, "experiments.change_experiment")
    control, kept = _kept(experiment_id)
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    if experiment.status != Experiment.Status.DRAFT:
        raise Conflict("Goals can only be picked while the experiment is a draft.")
    if not place_of(kept, payload.place):
        raise Invalid([{"field": "place", "reason": f"The page has no link, button or form {payload.place!r}."}])
    if payload.goal and not experiment.goals.filter(key=payload.goal).exists():
        raise Invalid([{"field": "goal", "reason": f"The experiment has no goal {payload.goal!r}."}])
    pick(kept, payload.place, payload.goal)
    return _out(control, kept.pk, kept.remarks, outline_from_json(kept.outline), kept.goals)


def _kept(experiment_id: int) -> tuple[Variant, ImportedPage]:
    experiment = get_object_or_404(Experiment, pk=experiment_id)
    control = experiment.nursery.variants.filter(is_control=True).first()
    if control is None or control.patch is None:
        raise Problem(HTTPStatus.NOT_FOUND, "The control of this experiment is no imported page.")
    return control, ImportedPage.objects.defer("source").get(pk=control.patch.page)
