"""The screen of an experiment's evolution: its walls, its switch, what waits for a person, and what was learnt."""

import re
from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_GET, require_http_methods

from experiments import evolution, evolving, lifecycle, pedigree, walls
from experiments.console import workbench
from experiments.console.running import zones
from experiments.console.views import View, acts, done_to_arm, frame, opens, user_of
from experiments.models import Evolution, EvolutionStep, Experiment
from experiments.reporting import lineage
from experiments.walls import BadWall, Walls
from variants.breeding import SLOTS
from variants.content import SLOT_WORDS
from variants.models import Lesson

STEPS_SHOWN: Final = 40
PERCENT: Final = 100
LONGEST_LESSON: Final = 400

GENES = [(slot, SLOT_WORDS[slot].capitalize()) for slot in SLOTS]
FOUR_EYES: Final = (
    "This brand asks for four eyes, so autopilot approves nothing: children wait for an approver either way."
)
GOING_LIVE = [
    ("ask", "A person looks at each child first"),
    ("autopilot", "Autopilot: a child on which no gate has anything to remark goes live by itself"),
]


class WallsForm(forms.Form):
    """What the marketer sets."""

    genes = forms.MultipleChoiceField(
        label="Parts that may vary",
        choices=GENES,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Leave at least one part free to vary, or switch breeding off."},
    )
    directions = forms.MultipleChoiceField(
        label="Directions that may be taken", widget=forms.CheckboxSelectMultiple, required=False
    )
    going_live = forms.ChoiceField(
        label="Before a child goes live", choices=GOING_LIVE, widget=forms.RadioSelect, initial="ask"
    )
    usd_per_day = forms.DecimalField(
        label="Spend at most, in a day",
        min_value=0,
        max_value=walls.MOST_USD,
        decimal_places=2,
        required=False,
        help_text="In dollars, for the language model. Leave it empty for no limit but the experiment’s own.",
    )
    rounds_per_week = forms.IntegerField(
        label="Rounds in a week, at most",
        min_value=1,
        max_value=walls.MOST_ROUNDS,
        help_text="A round makes as many children as the traffic can judge.",
    )
    unproven_percent = forms.FloatField(
        label="Largest part of new visitors for an unproven page, in percent",
        min_value=walls.LEAST_SHARE * PERCENT,
        max_value=walls.MOST_SHARE * PERCENT,
        help_text=f"A bred page is unproven until {evolving.PROVEN_BY:,.0f} visitors have seen it.",
    )
    quiet_from = forms.TimeField(
        label="Quiet from", required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M")
    )
    quiet_until = forms.TimeField(
        label="until",
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text="Nothing is bred and no child goes live in these hours. Leave both empty for none.",
    )
    time_zone = forms.ChoiceField(label="Clocks of")

    def __init__(self, experiment: Experiment, *values: Any, **more: Any) -> None:
        super().__init__(*values, **more)
        self._known = [(str(one.pk), one.angle) for one in experiment.nursery.directions.filter(is_struck=False)]
        self.fields["directions"].choices = self._known  # type: ignore[attr-defined]
        if experiment.nursery.brief.brand.asks_four_eyes:
            self.fields["going_live"].help_text = FOUR_EYES
        self.fields["time_zone"].choices = [(name, name.replace("_", " ")) for name in zones()]  # type: ignore[attr-defined]

    def walls(self) -> Walls:
        """Return what was set; with every box ticked also what comes later is free to vary."""
        found = self.cleaned_data
        genes, chosen = tuple(found["genes"]), found["directions"]
        return Walls(
            genes=None if len(genes) == len(SLOTS) else genes,
            directions=None if len(chosen) == len(self._known) else tuple(int(pk) for pk in chosen),
            is_autopilot=found["going_live"] == "autopilot",
            usd_per_day=found["usd_per_day"],
            rounds_per_week=found["rounds_per_week"],
            unproven_share=found["unproven_percent"] / PERCENT,
            quiet_from=found["quiet_from"],
            quiet_until=found["quiet_until"],
            time_zone=found["time_zone"],
        )


FIELD_OF: Final = {"unproven_share": "unproven_percent"}  # the form's, where it is named otherwise


def _initial(experiment: Experiment) -> dict[str, Any]:
    found = walls.of(experiment)
    every = [str(pk) for pk in experiment.nursery.directions.values_list("pk", flat=True)]
    return {
        "genes": list(SLOTS if found.genes is None else found.genes),
        "directions": every if found.directions is None else [str(pk) for pk in found.directions],
        "going_live": "autopilot" if found.is_autopilot else "ask",
        "usd_per_day": found.usd_per_day,
        "rounds_per_week": found.rounds_per_week,
        "unproven_percent": f"{found.unproven_share * PERCENT:g}",
        "quiet_from": found.quiet_from,
        "quiet_until": found.quiet_until,
        "time_zone": found.time_zone,
    }


@require_http_methods(["GET", "POST"])
@opens(workbench.VIEW)
def show(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Show how the experiment's pages breed, and move the walls."""
    may_set = any(map(user_of(request).has_perm, walls.MAY_MOVE))
    is_sent = request.method == "POST" and may_set
    form = WallsForm(experiment, request.POST if is_sent else None, initial=_initial(experiment))
    if is_sent and form.is_valid() and _moved(request, experiment, form):
        return HttpResponseRedirect(url(experiment))
    return render(
        request, "console/evolution.html", {**_context(request, experiment), "form": form, "may_set": may_set}
    )


def _context(request: HttpRequest, experiment: Experiment) -> dict[str, Any]:
    kept = Evolution.objects.filter(experiment=experiment).first() or Evolution(experiment=experiment)
    bred = pedigree.bred_for(experiment)
    return {
        **frame(request, experiment),
        "title": f"Evolution of {experiment.name}",
        "evolution": kept,
        "is_running": experiment.status == Experiment.Status.RUNNING,
        "to_look_at": evolution.children_to_look_at(experiment),
        "rounds": max((one.round for one in bred), default=0),
        "bred": experiment.nursery.variants.filter(generation__in=[one.generation_id for one in bred]).count(),
        "steps": _steps(experiment),
        "crowned": lifecycle.provable_controls(experiment),
    }


@require_GET
@opens(workbench.VIEW)
def learnt(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Return what was learnt of the pages' parts. A second of computing for 500 arms: loaded by itself."""
    found = lineage.of(experiment)
    brand = experiment.nursery.brief.brand
    lessons = list(brand.lessons.all())
    known = {lesson.text for lesson in lessons}
    context = {
        "experiment": experiment,
        "learnt": [sentence for sentence in found.learnt if sentence not in known],
        "works": found.works,
        "lessons": lessons,
        "brand": brand,
        "may_learn": request.user.has_perm("variants.change_brand"),
    }
    return render(request, "console/_learnt.html", context)


def _steps(experiment: Experiment) -> list[EvolutionStep]:
    """Return what was decided, the newest first; what it waited for in between stands in the history."""
    decided = experiment.evolution_steps.exclude(kind=EvolutionStep.Kind.HELD).select_related("made_by")
    return list(decided.order_by("-pk")[:STEPS_SHOWN])


def _moved(request: HttpRequest, experiment: Experiment, form: WallsForm) -> bool:
    found = form.walls()
    if found.is_autopilot and not walls.of(experiment).is_autopilot and not request.user.has_perm(workbench.APPROVE):
        form.add_error("going_live", "Autopilot approves pages: somebody who may approve them has to switch it on.")
        return False
    try:
        walls.move(experiment, found, by=user_of(request))
    except BadWall as error:
        form.add_error(FIELD_OF.get(error.field, error.field), str(error))
        return False
    messages.success(request, "The walls stand. The next look at the experiment goes by them.")
    return True


def url(experiment: Experiment) -> str:
    return reverse("admin:experiments_evolution", args=[experiment.pk])


def _after(experiment: Experiment, answer: HttpResponse) -> HttpResponse:
    """Lead back to this screen rather than to the workbench."""
    answer["Location"] = url(experiment)
    return answer


@acts(workbench.VIEW)
def switch(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Switch breeding on or off, or ask for a round now. Stopping takes less than starting."""
    if not any(map(user_of(request).has_perm, walls.MAY_MOVE)):
        raise PermissionDenied
    wanted = request.POST.get("switch", "")
    if wanted == "off":
        walls.switch_off(experiment, by=user_of(request))
        messages.success(request, "Breeding is off. Pages that are live stay as they are.")
    elif not request.user.has_perm(workbench.START):
        messages.error(request, "Somebody who may start experiments has to switch breeding on.")
    elif wanted == "on":
        walls.switch_on(experiment, by=user_of(request))
        messages.success(request, "Breeding is on, within the walls below.")
    elif wanted == "now" and walls.want_round(experiment, by=user_of(request)):
        evolution.request_tick(experiment)
        reason = evolution.why_not_now(experiment) if experiment.status == Experiment.Status.RUNNING else ""
        messages.success(request, f"Noted. It waits: {reason}" if reason else "A round of breeding begins.")
    return HttpResponseRedirect(url(experiment))


@acts(workbench.START)
def crown(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Let the chosen arm take today's page's place."""
    answer = done_to_arm(
        request,
        experiment,
        lifecycle.change_control,
        lacking="Choose the variant that becomes today’s page.",
        says="“{}” is today’s page from now on. The experiment goes on, and the others are compared with it.",
    )
    return _after(experiment, answer)


@acts("variants.change_brand")
def learn(request: HttpRequest, experiment: Experiment) -> HttpResponse:
    """Carry what was learnt into the brand's next experiments, change it, or take it back."""
    brand, text = experiment.nursery.brief.brand, " ".join(request.POST.get("text", "").split())[:LONGEST_LESSON]
    asked = request.POST.get("lesson", "")
    lesson = brand.lessons.filter(pk=int(asked)).first() if re.fullmatch("[0-9]{1,15}", asked) else None
    if request.POST.get("forget") and lesson is not None:
        lesson.delete()
        messages.success(request, "Forgotten: the writer of new pages is not told of it any more.")
    elif text:
        _keep(experiment, lesson, text, user_of(request))
        messages.success(request, f"Kept for {brand}: the writer of its next pages is told of it.")
    return HttpResponseRedirect(f"{url(experiment)}#learnt")


def _keep(experiment: Experiment, lesson: Lesson | None, text: str, by: Any) -> None:
    brand = experiment.nursery.brief.brand
    if lesson is None:
        Lesson.objects.get_or_create(
            brand=brand, text=text, defaults={"source": experiment.name[:160], "created_by": by}
        )
    elif not brand.lessons.filter(text=text).exclude(pk=lesson.pk).exists():
        Lesson.objects.filter(pk=lesson.pk).update(text=text)


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    views: list[tuple[str, View, str]] = [
        ("<int:pk>/evolution/", show, "evolution"),
        ("<int:pk>/evolution/switch/", switch, "evolution_switch"),
        ("<int:pk>/evolution/control/", crown, "evolution_control"),
        ("<int:pk>/evolution/learn/", learn, "evolution_learn"),
        ("<int:pk>/evolution/learnt/", learnt, "evolution_learnt"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
