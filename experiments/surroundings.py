"""What stands around the words of every page of an experiment, as it was agreed to: its brief and its brand.

    brief, brand, pictures ── start, or "put the changes on the live pages" ──▶ Experiment.surroundings ──▶ every page

People may edit brief and brand as they like while an experiment runs. Nothing of it reaches a visitor before somebody
who may start experiments has put it there, whatever else has pages made anew: a new variant, say, or a roll-back.
Pictures are kept as blobs when they are agreed to, so one that is taken off the brand later does not leave a hole.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Max, QuerySet
from django.utils import timezone
from pydantic import BaseModel, ConfigDict, ValidationError

from experiments import deeds
from experiments.models import Blob, Experiment
from experiments.splitter import stores
from variants.brief import BriefSpec, FormField
from variants.models import Brand, Image


class Picture(BaseModel):
    """An uploaded picture: the hash of its bytes, and what a page says of it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    name: str
    sha256: str
    content_type: str
    alt: str
    width: int
    height: int


class Look(BaseModel):
    """A brand as pages show it."""

    model_config = ConfigDict(frozen=True)

    name: str
    primary_colour: str
    accent_colour: str
    legal_footer: str
    privacy_url: str
    logo: Picture | None
    pictures: tuple[Picture, ...]


class Surroundings(BaseModel):
    model_config = ConfigDict(frozen=True)

    brief: BriefSpec
    brand: Look


def of_now(experiment: Experiment) -> Surroundings:
    """Return what brief and brand say now. Raise ValidationError for a brief that makes no sense."""
    brief = experiment.nursery.brief
    return Surroundings(brief=brief.spec(), brand=_look(brief.brand))


def pictures_of(experiment: Experiment) -> dict[str, stores.Blob]:
    """Return the bytes of the pictures that the experiment's pages may show, by their hashes."""
    return picture_bytes(picture.sha256 for picture in agreed(experiment).brand.pictures)


def agreed(experiment: Experiment) -> Surroundings:
    """Return what the experiment's pages are made with. Before its start that is what brief and brand say now."""
    if experiment.surroundings is None:
        return of_now(experiment)
    return Surroundings.model_validate(experiment.surroundings)


def agree(experiment: Experiment) -> None:
    """Let every page be made with what brief and brand say now."""
    now = of_now(experiment)
    _keep_pictures(now.brand.pictures)
    experiment.surroundings, experiment.surroundings_at = now.model_dump(mode="json"), timezone.now()
    if experiment.standing:  # else the console would go on saying for minutes that changes wait
        experiment.standing = {**experiment.standing, "changes": 0}
    experiment.save(update_fields=["surroundings", "surroundings_at", "standing"])


def changers(experiment: Experiment) -> set[int]:
    """Return the people who changed brief or brand since the experiment's pages were last agreed to.

    Before that is, for the brief and for the brand each, since pages of any experiment were made with it: what stood
    there then, somebody has agreed to.
    """
    brief = experiment.nursery.brief
    if since := experiment.surroundings_at:
        return deeds.changers(brief, brief.brand, since=since)
    same_brief = Experiment.objects.filter(nursery__brief=brief)
    same_brand = Experiment.objects.filter(nursery__brief__brand=brief.brand)
    of_brief, of_brand = _last_agreed(same_brief), _last_agreed(same_brand)
    first = {brief.created_by_id} if of_brief is None and brief.created_by_id else set()
    return first | deeds.changers(brief, since=of_brief) | deeds.changers(brief.brand, since=of_brand)


def _last_agreed(experiments: QuerySet[Experiment]) -> datetime | None:
    last: datetime | None = experiments.aggregate(last=Max("surroundings_at"))["last"]
    return last


def digest(experiment: Experiment) -> str:
    """Return what changes with every change of brief and brand: what somebody has read, they may agree to."""
    try:
        now = of_now(experiment)
    except ValidationError:
        return ""
    return hashlib.sha256(now.model_dump_json().encode()).hexdigest()[:32]


def differences(experiment: Experiment) -> list[str]:
    """Say in words what was changed since it was agreed to; nothing for an experiment that follows its brief."""
    if experiment.surroundings is None:
        return []
    try:
        before, now = agreed(experiment), of_now(experiment)
    except ValidationError:
        return ["The brief has a fault: open and save it."]
    return told(before, now)


def told(before: Surroundings, now: Surroundings) -> list[str]:
    """Say in words what visitors would see differently."""
    return deeds.every_change(_said(before), _said(now)) + _replaced(before.brand, now.brand)


def picture_bytes(hashes: Iterable[str]) -> dict[str, stores.Blob]:
    """Return pictures by the hashes of their bytes: as they were kept, or as they are uploaded."""
    wanted = set(hashes)
    found = {blob.sha256: blob for blob in Blob.objects.filter(sha256__in=wanted)}
    uploaded = {image.sha256: image for image in Image.objects.filter(sha256__in=wanted - found.keys())}
    return {
        sha256: stores.Blob(identity=bytes(kept.data), content_type=kept.content_type)
        for sha256, kept in (found | uploaded).items()
    }


def _keep_pictures(pictures: Iterable[Picture]) -> None:
    wanted = {picture.sha256 for picture in pictures}
    missing = wanted - set(Blob.objects.filter(sha256__in=wanted).values_list("sha256", flat=True))
    uploaded = Image.objects.filter(sha256__in=missing)
    kept = [Blob(sha256=each.sha256, data=bytes(each.data), content_type=each.content_type) for each in uploaded]
    Blob.objects.bulk_create(kept, ignore_conflicts=True)


def _look(brand: Brand) -> Look:
    copied = ("name", "primary_colour", "accent_colour", "legal_footer", "privacy_url")
    pictures = tuple(Picture.model_validate(image) for image in brand.images.defer("data").order_by("name"))
    logo = next((picture for picture in pictures if brand.logo and picture.name == brand.logo.name), None)
    return Look(logo=logo, pictures=pictures, **{name: getattr(brand, name) for name in copied})


def _replaced(before: Look, now: Look) -> list[str]:
    files = {picture.name: picture.sha256 for picture in before.pictures}
    changed = [each.name for each in now.pictures if files.get(each.name, each.sha256) != each.sha256]
    return [f"Picture “{name}”: another file" for name in changed]


def _field_said(field: FormField) -> str:
    more = [*field.options, *([] if field.is_required else ["may stay empty"])]
    return f"{field.label} ({', '.join([field.kind, f'at most {field.max_length}', *more])})"


def _said(surroundings: Surroundings) -> dict[str, Any]:
    """Return what visitors can tell apart, under the names people know it by."""
    brief, brand = surroundings.brief, surroundings.brand
    second = brief.secondary_link
    return {
        "What visitors are asked to do": "fill in a form" if brief.call_to_action.kind == "form" else "follow a link",
        "Link of the button": brief.call_to_action.url,
        "Second link": f"{second.label}: {second.url}" if second else None,
        "Fields of the form": "; ".join(map(_field_said, brief.form_fields)),
        "Thank-you text": brief.thank_you,
        "Language": brief.language,
        "Brand": brand.name,
        "First colour": brand.primary_colour,
        "Second colour": brand.accent_colour,
        "Small print": brand.legal_footer,
        "Privacy page": brand.privacy_url,
        "Logo": brand.logo.name if brand.logo else None,
        "Pictures": ", ".join(f"{picture.name} ({picture.alt})" for picture in brand.pictures),
    }
