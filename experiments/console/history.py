"""Turn what is kept about an experiment into its history: what people did, and what the bandit decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib.admin.models import LogEntry

from experiments import deeds
from experiments.models import Allocation, Arm, EvolutionStep, Experiment
from variants.models import Brand, Brief

MOST_ENTRIES: Final = 200
ARMS_SHOWN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    at: datetime
    who: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    name: str
    share: float  # of new visitors, 0 to 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """An allocation: who got how much from then on, and why."""

    at: datetime
    reason: str
    portions: Sequence[Portion]  # the largest first
    others: int  # arms not listed
    rest: float  # their share together


def of(experiment: Experiment, *, shows_where: bool) -> dict[str, Any]:
    """Return the history; `shows_where` says whether also where notifications go."""
    told = _deeds(experiment, shows_where=shows_where)
    return {"deeds": told, "reviews": _reviews(experiment), "most": MOST_ENTRIES}


def _deeds(experiment: Experiment, *, shows_where: bool) -> list[Deed]:
    """Return what people did, and what Greenhouse did by itself, the newest first."""
    found = [
        Deed(
            at=entry.action_time,
            who=str(entry.user),
            what=f"{_about(entry)}{deeds.told(entry, shows_where=shows_where)}",
        )
        for entry in deeds.about(experiment)[:MOST_ENTRIES]
    ]
    every = [*found, *_left(experiment), *_bred(experiment)]
    return sorted(every, key=lambda deed: deed.at, reverse=True)[:MOST_ENTRIES]


def _bred(experiment: Experiment) -> list[Deed]:
    """Return what breeding decided by itself; what people set is in the log, and who retired stands with the arm."""
    decided = experiment.evolution_steps.filter(made_by=None).exclude(kind=EvolutionStep.Kind.RETIRED)
    return [Deed(at=step.made_at, who="Greenhouse", what=step.what) for step in decided.order_by("-pk")[:MOST_ENTRIES]]


def _about(entry: LogEntry) -> str:
    kind = entry.content_type.model_class() if entry.content_type else None
    return {Brief: "Brief: ", Brand: "Brand: "}.get(kind, "") if kind else ""


def _left(experiment: Experiment) -> list[Deed]:
    """Return the arms that the bandit or a guardrail took out: nobody did, and people ask who."""
    by_itself = experiment.arms.filter(status__in=[Arm.Status.RETIRED, Arm.Status.PAUSED], retired_at__isnull=False)
    return [
        Deed(at=arm.retired_at, who="Greenhouse", what=f"Sends no new visitors to “{arm.variant}”: {arm.reason}.")
        for arm in by_itself.exclude(reason__startswith="retired by").select_related("variant")
        if arm.retired_at
    ]


def _reviews(experiment: Experiment) -> list[Review]:
    names = dict(experiment.arms.values_list("key", "variant__name"))
    return [_review(allocation, names) for allocation in experiment.allocations.order_by("-epoch")[:MOST_ENTRIES]]


def _review(allocation: Allocation, names: dict[str, str]) -> Review:
    by_size = sorted(allocation.shares.items(), key=lambda entry: -entry[1])
    # One page alone is named in the place in which it would be counted.
    shown = by_size if len(by_size) == ARMS_SHOWN + 1 else by_size[:ARMS_SHOWN]
    return Review(
        at=allocation.created_at,
        reason=allocation.reason[:1].upper() + allocation.reason[1:],
        portions=[Portion(name=names.get(key, key), share=share) for key, share in shown],
        others=len(by_size) - len(shown),
        rest=sum(share for _, share in by_size[len(shown) :]),
    )


# --- what a form changed, in words -----------------------------------------------------------------------------------

FRACTIONS: Final = frozenset({"control_share", "traffic_share", "usual_rate"})


def changed(form: forms.ModelForm[Any], formsets: Iterable[Any]) -> str:
    """Say what was changed in an experiment's settings and goals, before → after."""
    told = deeds.changes(*_sides(form))
    for formset in formsets:
        told += [f"Goal added: {goal}" for goal in formset.new_objects]
        told += [f"Goal taken away: {goal}" for goal in formset.deleted_objects]
        edited = {goal.pk for goal, _ in formset.changed_objects}
        for row in formset.initial_forms:
            if row.instance.pk in edited:
                told += [f"Goal {row.instance}, {change}" for change in deeds.changes(*_sides(row))]
    return "\n".join(["Changed the settings.", *told]) if told else "Saved the settings unchanged."


def _sides(form: forms.ModelForm[Any]) -> tuple[dict[str, str], dict[str, str]]:
    names = [name for name in form.changed_data if name in form.fields and name in form.cleaned_data]
    before = {_label(form, name): _said(form, name, form.initial) for name in names}
    return before, {_label(form, name): _said(form, name, form.cleaned_data) for name in names}


def _label(form: forms.ModelForm[Any], name: str) -> str:
    return str(form.fields[name].label or name.replace("_", " ").capitalize())


def _said(form: forms.ModelForm[Any], name: str, values: Mapping[str, Any]) -> str:
    value = values.get(name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in FRACTIONS and isinstance(value, float | Decimal):
        return f"{float(value) * 100:.4g}%"
    choices = dict(getattr(form.fields[name], "choices", ()))
    return str(choices.get(value, "" if value is None else value))
