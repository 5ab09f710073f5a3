"""The API's half about what pages say: briefs, generations, variants."""

from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status

from variants.brief import BriefSpec
from variants.content import PageContent
from variants.models import Brand, Brief, Generation, Variant
from variants.problems import Invalid, require

router = Router(tags=["variants"])


class BriefIn(BriefSpec):
    """A brief, and whose it is; without `brand_id` the first brand's."""

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


class VariantOut(Schema):
    id: int
    number: int
    name: str
    status: str
    is_control: bool
    origin: str
    parents: list[int]
    content: dict[str, Any]
    findings: list[Finding]


class GenerationOut(Schema):
    id: int
    status: str
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
        parents=[parent.pk for parent in variant.parents.all()],
        content=variant.content,
        findings=[Finding.model_validate(finding) for finding in variant.findings],
    )


@router.post("/briefs", response={201: Created})
def create_brief(request: HttpRequest, brief: BriefIn) -> Status[Created]:
    """Save a brief."""
    user = require(request, "variants.add_brief")
    brand = Brand.objects.filter(pk=brief.brand_id) if brief.brand_id else Brand.objects.order_by("pk")
    owner = brand.first()
    if brief.brand_id and owner is None:
        raise Invalid([{"field": "brand_id", "reason": f"There is no brand {brief.brand_id}."}])
    made = Brief(brand=owner or Brand.objects.create(name=brief.name[:80]), created_by=user)
    made.take(BriefSpec.model_validate(brief.model_dump(exclude={"brand_id"})))
    made.save()
    return Status(HTTPStatus.CREATED, Created(id=made.pk))


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
    generation = get_object_or_404(Generation, pk=generation_id)
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


@router.get("/variants/{variant_id}", response=VariantOut)
def read_variant(request: HttpRequest, variant_id: int) -> VariantOut:
    """Return a variant with its content and what the gates found."""
    require(request, "variants.view_variant")
    return variant_out(get_object_or_404(Variant, pk=variant_id))


@router.get("/schema/page-content")
def page_content_schema(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON Schema of PageContent."""
    return PageContent.model_json_schema()
