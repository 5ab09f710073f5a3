"""The API's half about what pages say: briefs, generations, variants."""

from http import HTTPStatus
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from ninja.pagination import paginate
from pydantic import AwareDatetime, ConfigDict, Field, StringConstraints

from variants.brief import BriefSpec
from variants.content import PageContent
from variants.directions import Part
from variants.generation import cancel
from variants.models import Brand, Brief, Direction, Generation, ModelCall, Variant
from variants.problems import Invalid, Paged, require
from variants.text import Line, Link, OptionalLine

router = Router(tags=["variants"])

Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]


class BrandIn(Schema):
    """Who speaks on pages."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[Line, Field(max_length=80)]
    voice: Annotated[OptionalLine, Field(max_length=200)] = ""
    primary_colour: Colour = "#0b6e4f"
    accent_colour: Colour = "#f2a541"
    legal_footer: Annotated[OptionalLine, Field(max_length=400)] = ""
    privacy_url: Link | None = None


class BrandOut(Schema):
    id: int
    name: str
    voice: str
    primary_colour: str
    accent_colour: str
    legal_footer: str
    privacy_url: str


class BriefIn(BriefSpec):
    """A brief, and whose it is; without `brand_id` a brand of the brief's own name."""

    brand_id: int | None = None


class Created(Schema):
    id: int


class BriefOut(Schema):
    id: int
    brand_id: int
    brief: dict[str, Any]


class Finding(Schema):
    gate: str
    field: str
    words: str
    reason: str
    blocks: bool = True


class Trace(Schema):
    """A claim of the page and what in the brief covers it."""

    field: str
    words: str
    fact: str
    text: str


class VariantOut(Schema):
    id: int
    number: int
    name: str
    status: str
    is_control: bool
    origin: str
    direction_id: int | None
    model: str
    prompt_version: str
    parents: list[int]
    content: dict[str, Any]
    findings: list[Finding]
    traces: list[Trace]


class DirectionIn(Schema):
    """A direction that pages take: what the reader knows of themselves, the promise, its proof, the doubt to settle."""

    model_config = ConfigDict(extra="forbid")

    angle: Annotated[Line, Field(max_length=120)]
    insight: Part = None
    promise: Part = None
    proof: Part = None
    objection: Part = None
    weight: Direction.Weight = Direction.Weight.NORMAL
    is_struck: bool = False


class DirectionChanges(DirectionIn):
    """What is left out stays as it is."""

    angle: Annotated[Line, Field(max_length=120)] = "unchanged"


class DirectionOut(Schema):
    id: int
    number: int
    angle: str
    insight: str
    promise: str
    proof: str
    objection: str
    weight: int
    is_struck: bool
    origin: str


class CallOut(Schema):
    id: int
    purpose: ModelCall.Purpose
    outcome: ModelCall.Outcome
    model: str
    prompt_version: str
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    asked_at: AwareDatetime
    ended_at: AwareDatetime | None


class GenerationOut(Schema):
    id: int
    status: Generation.Status
    requested: int
    accepted: int
    duplicates: int
    blocked: int
    failed: int
    cost_usd: float
    tokens: int
    model: str
    prompt_version: str
    message: str


def variant_out(variant: Variant) -> VariantOut:
    """Return a variant as the API shows it."""
    return VariantOut(
        id=variant.pk,
        number=variant.number,
        name=variant.name,
        status=variant.status,
        is_control=variant.is_control,
        origin=variant.origin,
        direction_id=variant.direction_id,
        model=variant.model,
        prompt_version=variant.prompt_version,
        parents=[parent.pk for parent in variant.parents.all()],
        content=variant.content,
        findings=[Finding.model_validate(finding) for finding in variant.findings],
        traces=[Trace.model_validate(trace) for trace in variant.traces],
    )


@router.post("/brands", response={201: Created})
def create_brand(request: HttpRequest, brand: BrandIn) -> Status[Created]:
    """Save a brand."""
    require(request, "variants.add_brand")
    made = Brand.objects.create(**{**brand.model_dump(), "privacy_url": brand.privacy_url or ""})
    return Status(HTTPStatus.CREATED, Created(id=made.pk))


@router.get("/brands", response=list[BrandOut])
@paginate(Paged)
def list_brands(request: HttpRequest) -> QuerySet[Brand]:
    """List the brands."""
    require(request, "variants.view_brand")
    return Brand.objects.order_by("pk")


@router.post("/briefs", response={201: Created})
def create_brief(request: HttpRequest, brief: BriefIn) -> Status[Created]:
    """Save a brief."""
    user = require(request, "variants.add_brief")
    brand = Brand.objects.filter(pk=brief.brand_id).first() if brief.brand_id else None
    if brief.brand_id and brand is None:
        raise Invalid([{"field": "brand_id", "reason": f"There is no brand {brief.brand_id}."}])
    # Another product's brand must not sign this page, so without a brand the brief gets one of its own.
    made = Brief(brand=brand or _own_brand(brief.name[:80]), created_by=user)
    made.take(BriefSpec.model_validate(brief.model_dump(exclude={"brand_id"})))
    made.save()
    return Status(HTTPStatus.CREATED, Created(id=made.pk))


def _own_brand(name: str) -> Brand:
    # Names of brands may repeat, so get_or_create could find several.
    return Brand.objects.filter(name=name).order_by("pk").first() or Brand.objects.create(name=name)


@router.get("/briefs/{brief_id}", response=BriefOut)
def read_brief(request: HttpRequest, brief_id: int) -> BriefOut:
    """Return a brief as it would be posted."""
    require(request, "variants.view_brief")
    brief = get_object_or_404(Brief, pk=brief_id)
    return BriefOut(id=brief.pk, brand_id=brief.brand_id, brief=brief.spec().model_dump(mode="json"))


@router.get("/generations/{generation_id}", response=GenerationOut)
def read_generation(request: HttpRequest, generation_id: int) -> GenerationOut:
    """Tell how far a request for variants has come."""
    require(request, "variants.view_generation")
    return generation_out(get_object_or_404(Generation, pk=generation_id))


def generation_out(generation: Generation) -> GenerationOut:
    """Return a generation as the API shows it."""
    copied = (
        "status",
        "requested",
        "accepted",
        "duplicates",
        "blocked",
        "failed",
        "model",
        "prompt_version",
        "message",
    )
    return GenerationOut(
        id=generation.pk,
        cost_usd=float(generation.cost_usd),
        tokens=generation.prompt_tokens + generation.completion_tokens,
        **{name: getattr(generation, name) for name in copied},
    )


@router.post("/generations/{generation_id}/cancel", response=GenerationOut)
def cancel_generation(request: HttpRequest, generation_id: int) -> GenerationOut:
    """Ask for no more pages. Answers under way are still kept and paid for; what is over stays as it is."""
    require(request, "variants.add_generation")
    return generation_out(cancel(get_object_or_404(Generation, pk=generation_id)))


@router.get("/generations/{generation_id}/calls", response=list[CallOut])
@paginate(Paged)
def list_calls(request: HttpRequest, generation_id: int) -> QuerySet[ModelCall]:
    """List the calls to the language model: what each was for, what came of it and what it cost."""
    require(request, "variants.view_generation")
    return get_object_or_404(Generation, pk=generation_id).calls.order_by("pk")


@router.patch("/directions/{direction_id}", response=DirectionOut)
def change_direction(request: HttpRequest, direction_id: int, changes: DirectionChanges) -> Direction:
    """Change a direction's words or weight, strike it or take it back. Pages that are written stay as they are."""
    require(request, "variants.add_generation")
    direction = get_object_or_404(Direction, pk=direction_id)
    for name, value in changes.model_dump(exclude_unset=True).items():
        setattr(direction, name, "" if value is None else value)
    direction.save()
    return direction


@router.get("/variants/{variant_id}", response=VariantOut)
def read_variant(request: HttpRequest, variant_id: int) -> VariantOut:
    """Return a variant with its content and what the gates found."""
    require(request, "variants.view_variant")
    return variant_out(get_object_or_404(Variant, pk=variant_id))


@router.get("/schema/page-content")
def page_content_schema(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON Schema of PageContent."""
    return PageContent.model_json_schema()
