"""Plain functions that make what a test needs, with defaults for the rest."""

from typing import Any

from django.utils import timezone

from experiments.models import Allocation, Arm, Experiment, Goal
from variants.models import Brand, Brief, Nursery, Variant


def there[T](value: T | None) -> T:
    """Return what must be there."""
    assert value is not None
    return value


def page(headline: str = "Find any letter in seconds", **theme: str) -> dict[str, Any]:
    """Return a small valid PageContent."""
    return {
        "angle": "speed",
        "meta": {"title": headline, "description": "Scan it once, find it for ever."},
        "theme": {"layout": "split", "palette": "brand", "typography": "grotesk", **theme},
        "sections": [
            {
                "kind": "hero",
                "headline": headline,
                "subheadline": "Scan your paper once and search it for ever.",
                "call_to_action": "Send me the guide",
            },
            {"kind": "form", "title": "Get the guide", "submit": "Send it"},
        ],
    }


def make_brief(**changes: Any) -> Brief:
    values = {
        "name": "Archive guide",
        "product": "A document archive.",
        "audience": "Households with too much paper.",
        "offer": "A free set-up guide.",
        "facts": [{"text": "It runs on your own computer.", "source": "the manual"}],
        "angles": ["speed", "privacy"],
        "call_to_action_label": "Send me the guide",
        **changes,
    }
    return Brief.objects.create(brand=values.pop("brand", None) or Brand.objects.create(name="Paperwork"), **values)


def make_experiment(*, arms: int = 2, goal_kind: str = Goal.Kind.FORM, **changes: Any) -> Experiment:
    """Return a draft with `arms` approved variants, the first of them the control, and one primary goal."""
    brief = changes.pop("brief", None) or make_brief()
    nursery = Nursery.objects.create(brief=brief)
    values = {"name": "Archive guide", "slug": f"archive-{nursery.pk}", **changes}
    experiment = Experiment.objects.create(nursery=nursery, **values)
    Goal.objects.create(experiment=experiment, key="signup", kind=goal_kind, is_primary=True)
    Variant.objects.bulk_create(
        Variant(
            nursery=nursery,
            number=number,
            name=f"Variant {number}",
            content=_fitting(page(f"Headline v{number}"), brief),
            is_control=number == 1,
            status=Variant.Status.APPROVED,
        )
        for number in range(1, arms + 1)
    )
    return experiment


def _fitting(content: dict[str, Any], brief: Brief) -> dict[str, Any]:
    """Return the page without its form where visitors are to follow a link."""
    is_link = brief.call_to_action_kind == Brief.CallToActionKind.LINK
    return {**content, "sections": content["sections"][:1]} if is_link else content


def make_running(*, arms: int = 2, **changes: Any) -> Experiment:
    """Return an experiment with live arms and a first epoch of equal shares, never deployed."""
    experiment = make_experiment(arms=arms, **changes)
    variants = list(experiment.nursery.variants.all())
    made = [
        Arm.objects.create(
            experiment=experiment,
            variant=variant,
            key="control" if variant.is_control else f"v{variant.number}",
            status=Arm.Status.LIVE,
        )
        for variant in variants
    ]
    shares = {arm.key: 1 / len(made) for arm in made}
    Allocation.objects.create(experiment=experiment, epoch=1, shares=shares, reason="started with equal shares")
    Experiment.objects.filter(pk=experiment.pk).update(status=Experiment.Status.RUNNING, started_at=timezone.now())
    experiment.refresh_from_db()
    return experiment
