"""Steps three and four: growing variants, and looking at them: comparing two, and changing a text where it stands."""

from collections.abc import Callable
from typing import Any, Final

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET, require_http_methods

from experiments import deeds
from experiments.console import comparing, planning, steps, texts, workbench
from experiments.console.gallery import cards, gallery, ids, last_number
from experiments.console.previews import TEXTS, preview_url
from experiments.console.views import GrowForm, View, frame, opens, record, user_of
from experiments.models import Experiment
from variants import review
from variants.models import Variant

FRESH: Final = 12  # of the newest cards that the page shows on which they grow
LIVE: Final = "Visitors see this variant, so it stays as it is. Copy it, and change the copy."
GONE: Final = "This text is not there any more: somebody changed the variant. Look at it again."


@require_GET
@opens(workbench.VIEW)
def generate(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show how many variants the traffic affords, the form that asks for some, and how far they are."""
    growing = workbench.progress(workbench.latest_generation(experiment))  # first: see views.show
    after = last_number(experiment)
    newest = experiment.nursery.variants.filter(number__gt=after - FRESH, number__lte=after)
    context = {
        **frame(request, experiment),
        **growing,
        "title": f"Variants of {experiment.name}",
        "cards": cards(experiment, newest),
        "after": after,
        "more": max(0, after - FRESH),
        "typed": {name: request.GET.get(name) for name in GrowForm.base_fields},
        "traffic": planning.TrafficForm(instance=experiment),
        "plan": planning.plan(experiment),
        "whole_usd": workbench.whole_usd(experiment),
        "directions": experiment.nursery.directions.filter(is_struck=False).count(),
    }
    return render(request, "console/generate.html", context)


@require_GET
@opens(workbench.VIEW)
def look(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show the gallery."""
    context = {
        **frame(request, experiment),
        **gallery(experiment, request.GET, until=last_number(experiment)),
        "title": f"Gallery of {experiment.name}",
    }
    return render(request, "console/gallery.html", context)


@require_GET
@opens(workbench.VIEW)
def compare(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show two variants side by side; the first is the control unless another is named."""
    variants = {variant.pk: variant for variant in experiment.nursery.variants.defer("findings", "traces")}
    chosen = [variants.get(pk) for name in ("a", "b") for pk in [*ids([request.GET.get(name, "")]), 0][:1]]
    usual = sorted(variants.values(), key=lambda variant: (not variant.is_control, variant.number))
    left = chosen[0] or next((variant for variant in usual if variant != chosen[1]), None)
    right = chosen[1] or next((variant for variant in usual if variant != left), None)
    context = {
        **frame(request, experiment),
        "title": f"Two variants of {experiment.name}",
        "variants": sorted(variants.values(), key=lambda variant: variant.number),
        "left": left,
        "right": right,
        "steps": steps.bar(experiment, steps.GALLERY),
        "back": steps.url_of(experiment.pk, steps.GALLERY),
    }
    if left is not None and right is not None:
        found = comparing.lines(left, right)
        context["different"] = [line for line in found if not line.is_same]
        context["same"] = [line for line in found if line.is_same]
        context["sides"] = cards(experiment, experiment.nursery.variants.filter(pk__in=[left.pk, right.pk]))
        context["sides"].sort(key=lambda card: card.id != left.pk)
    return render(request, "console/compare.html", context)


# --- texts, changed where they stand --------------------------------------------------------------------------------


def _variant(experiment: Experiment, pk: int) -> Variant:
    found = Variant.objects.select_related("nursery__brief__brand", "arm")
    return get_object_or_404(found, pk=pk, nursery=experiment.nursery)


def _of(request: HttpRequest, experiment: Experiment, variant: Variant) -> dict[str, Any]:
    return {
        "experiment": experiment,
        "variant": variant,
        "may": workbench.rights(request.user),
        "is_live": hasattr(variant, "arm"),
    }


@require_GET
@opens(workbench.VIEW)
def all_texts(request: HttpRequest, experiment: Experiment, variant_pk: int) -> HttpResponse:
    """Return every text of a variant beside its picture, in which a text is chosen by clicking it."""
    variant = _variant(experiment, variant_pk)
    context = {
        **_of(request, experiment, variant),
        "texts": texts.texts_of(variant),
        "general": [remark for remark in cards_of(experiment, variant).remarks if not remark.place],
        "touchable": f"{preview_url(experiment, variant.pk)}&{TEXTS}",
    }
    return render(request, "console/_texts.html", context)


def cards_of(experiment: Experiment, variant: Variant) -> Any:
    return cards(experiment, experiment.nursery.variants.filter(pk=variant.pk))[0]


@require_http_methods(["GET", "POST"])
@opens(workbench.VIEW)
def one_text(request: HttpRequest, experiment: Experiment, variant_pk: int) -> HttpResponse:
    """Return a text to be read, or to be changed (`edit`); or take the changed one, and say what the gates say."""
    variant = _variant(experiment, variant_pk)
    place = request.GET.get("place", "")
    text = texts.text_at(variant, place)
    context = {**_of(request, experiment, variant), "is_on_card": "card" in request.GET}
    if request.method == "POST" or "edit" in request.GET:
        if not request.user.has_perm(workbench.WRITE):
            raise PermissionDenied
        if text is not None and request.method == "POST":
            return _taken(request, experiment, variant, text, context)
    if text is None:
        return render(request, "console/_text_gone.html", {"reason": GONE})
    if "edit" in request.GET:
        return render(request, "console/_text_edit.html", {**context, "text": text, "typed": text.text})
    return _read(request, experiment, variant, {**context, "text": text})


def _read(request: HttpRequest, experiment: Experiment, variant: Variant, context: dict[str, Any]) -> HttpResponse:
    """Return a text to be read. On a card all its words are returned: what the gates say of them may have changed."""
    if not context["is_on_card"]:
        return render(request, "console/_text.html", context)
    context |= {**frame(request, experiment), "card": cards_of(experiment, variant), "is_update": True}
    answer = render(request, "console/_decided.html", context)
    answer["HX-Retarget"] = f"#words-{variant.pk}"
    return answer


def _taken(
    request: HttpRequest, experiment: Experiment, variant: Variant, text: texts.Text, context: dict[str, Any]
) -> HttpResponse:
    typed = request.POST.get(f"text-{variant.pk}-{text.place}", "").strip()
    if typed == text.text:
        return _read(request, experiment, variant, {**context, "text": text})
    before = variant.content
    try:
        content = texts.changed(variant, text.place, typed)
        review.edit(variant, content, by=user_of(request), is_live=context["is_live"])
    except texts.NotSaid as error:
        return render(request, "console/_text_edit.html", {**context, "text": text, "typed": typed, "fault": error})
    except review.LiveVariant:
        return render(request, "console/_text_edit.html", {**context, "text": text, "typed": typed, "fault": LIVE})
    except review.WrongVariantStatus as error:
        return render(request, "console/_text_edit.html", {**context, "text": text, "typed": typed, "fault": error})
    record(request, experiment, deeds.edited(str(variant), before, variant.content))
    context |= {"variant": variant, "text": texts.text_at(variant, text.place)}
    if context["is_on_card"]:
        answer = _read(request, experiment, variant, context)
    else:
        context |= {**frame(request, experiment), "card": cards_of(experiment, variant), "is_update": True}
        answer = render(request, "console/_text_saved.html", context)
    answer["HX-Trigger-After-Settle"] = f'{{"variant-changed": {variant.pk}}}'
    return answer


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of this module; `guard` is the admin site's check that somebody is logged in."""
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/generate/", generate, "generate"),
        ("<int:pk>/gallery/", look, "gallery"),
        ("<int:pk>/compare/", compare, "compare"),
        ("<int:pk>/pages/<int:variant_pk>/texts/", all_texts, "variant_texts"),
        ("<int:pk>/pages/<int:variant_pk>/text/", one_text, "variant_text"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
