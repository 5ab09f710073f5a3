"""Turn what was bred into what a report says of it: the family tree, who earned what, and what was learnt.

Everything learnt names the numbers it stands on. What is not sure is not said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from django.db.models import Prefetch
from django.utils import timezone

from experiments import belief, credit, evidence, pedigree
from experiments.belief import Belief
from experiments.credit import Credit
from experiments.models import Arm, Experiment
from experiments.reporting import wording
from experiments.reporting.values import CreditReport, Lineage, Member
from variants.breeding import Operator
from variants.content import SLOT_WORDS
from variants.models import MICRO_USD, Breeding, Variant

FEWEST_ARMS = 3  # beside which a gene or a direction can be told apart from the pages that hold it
OPERATOR_WORDS: Mapping[str, str] = {
    "": "first generation", "crossover": "crossed from other pages", "mutation": "one part written anew",
    "fresh": "a fresh idea", "edit": "edited by hand",
}  # fmt: skip
OPERATOR_PLURALS: Mapping[str, str] = {
    "crossover": "Pages crossed from others", "mutation": "Pages with one part written anew",
    "fresh": "Fresh ideas", "edit": "Pages edited by hand",
}  # fmt: skip
FEWEST_PAGES, FEWEST_VISITORS = 2, 1_000  # behind what is told as learnt
MOST_LEARNT = 12
LONGEST_OPTION = 90


def of(experiment: Experiment) -> Lineage:
    """Compute the family tree and the credit from what is counted now."""
    arms = evidence.entered_arms(experiment)
    believed = belief.of(experiment, evidence.gather(experiment, arms), timezone.now()) if arms else None
    return _of(experiment, believed, pedigree.bred_for(experiment))


def if_bred(experiment: Experiment, believed: Belief) -> Lineage | None:
    """Return the same from what is believed already; None where no page ever came from another."""
    bred = pedigree.bred_for(experiment)
    copies = experiment.nursery.variants.filter(parents__isnull=False)
    return _of(experiment, believed, bred) if bred or copies.exists() else None


def _of(experiment: Experiment, believed: Belief | None, bred: Sequence[Breeding]) -> Lineage:
    rows = _credit(believed, bred) if believed is not None and believed.known.exposures.any() else []
    return Lineage(
        experiment_id=experiment.pk,
        members=_members(experiment, believed, bred),
        credit=rows,
        learnt=[_learnt(row) for row in rows if _is_learnt(row)][:MOST_LEARNT],
        works=_works(believed, bred) if believed is not None else "",
    )


def as_json(found: Lineage) -> dict[str, Any]:
    return asdict(found)


# --- The tree ----------------------------------------------------------------------------------------------------


def _members(experiment: Experiment, believed: Belief | None, bred: Sequence[Breeding]) -> list[Member]:
    planted = experiment.nursery.variants.select_related("generation", "arm").defer("findings", "traces")
    variants = list(planted.prefetch_related(Prefetch("parents", Variant.objects.only("pk"))))
    of_generation = {one.generation_id: one for one in bred}
    numbers = _numbers(believed)
    genes = {variant.pk: variant.genes for variant in variants}
    return [_member(variant, of_generation.get(variant.generation_id or 0), numbers, genes) for variant in variants]


def _numbers(believed: Belief | None) -> dict[int, dict[str, Any]]:
    """Return what visitors did, by variant."""
    if believed is None:
        return {}
    known = believed.known
    shown, converted = known.total_exposures, known.total_conversions
    lifts = np.stack(believed.posterior.lift(control=known.control)) if known.exposures.any() else None
    return {
        arm.variant_id: {
            "exposures": int(shown[place]),
            "conversions": int(converted[place]),
            "rate": float(converted[place] / shown[place]) if shown[place] else None,
            **_lift(None if lifts is None or not shown[place] else lifts[:, place]),
        }
        for place, arm in enumerate(known.arms)
    }


def _lift(found: Any) -> dict[str, Any]:
    if found is None or not np.isfinite(found).all():
        return {}
    return {"lift": float(found[0]), "lift_interval": (float(found[1]), float(found[2]))}


UNSEEN: Mapping[str, Any] = {"exposures": 0, "conversions": 0, "rate": None, "lift": None, "lift_interval": None}


def _member(
    variant: Variant, bred: Breeding | None, numbers: Mapping[int, Any], genes: Mapping[int, dict[str, str]]
) -> Member:
    parents = tuple(parent.pk for parent in variant.parents.all())
    generation = variant.generation
    arm = getattr(variant, "arm", None)
    before = genes.get(parents[0], {}) if parents else {}
    return Member(
        id=variant.pk,
        number=variant.number,
        key=arm.key if arm else "",
        name=variant.name,
        operator=variant.operator or ("edit" if parents else ""),
        round=bred.round if bred else None,
        parents=parents,
        changed=tuple(slot for slot, held in genes[variant.pk].items() if before and before.get(slot) != held),
        direction=genes[variant.pk]["angle"],
        reason=bred.reason if bred else "",
        model=variant.model or (generation.model if generation else ""),
        prompt_version=variant.prompt_version,
        cost_usd=_cost(variant),
        status=_status(variant, arm),
        **{**UNSEEN, **numbers.get(variant.pk, {})},
    )


def _cost(variant: Variant) -> float | None:
    """Return the variant's part of what its generation cost: calls that came to nothing are shared by all pages."""
    generation = variant.generation
    if generation is None:
        return None
    pages = max(generation.accepted + generation.blocked, 1)
    return float(generation.cost_micro_usd / MICRO_USD) / pages


def _status(variant: Variant, arm: Arm | None) -> str:
    if variant.is_control:
        return "control"
    return str(arm.status if arm else variant.status)


# --- The credit --------------------------------------------------------------------------------------------------


def _credit(believed: Belief, bred: Sequence[Breeding]) -> list[CreditReport]:
    """Return the credit of operators, directions and genes, each kind with the surest first."""
    held = believed.genes
    if len(held) < FEWEST_ARMS:
        return []
    shown = believed.known.total_exposures
    births = pedigree.births(believed, bred)
    operators = pedigree.operator_credits(believed, bred)
    return [
        *(_operator_row(believed, births, operator, found.credit) for operator, found in operators.items()),
        *_direction_rows(believed, [genes["angle"] for genes in held], shown),
        *_gene_rows(believed, held, shown),
    ]


def _row(kind: str, name: str, found: Credit, visitors: float, against: str, *, slot: str = "") -> CreditReport:
    return CreditReport(
        kind=kind,
        name=name,
        slot=slot,
        lift=found.lift,
        lift_interval=(found.low, found.high),
        chance_better=found.chance_better,
        pages=found.arms,
        visitors=int(visitors),
        against=against,
    )


def _operator_row(believed: Belief, births: Sequence[credit.Birth], operator: Operator, found: Credit) -> CreditReport:
    shown = believed.known.total_exposures
    visitors = sum(float(shown[birth.child]) for birth in births if birth.operator is operator)
    against = "the pages that would have bred instead" if operator is Operator.FRESH else "the mean of their parents"
    return _row("operator", operator.value, found, visitors, against)


def _direction_rows(believed: Belief, angles: Sequence[str], shown: Any) -> list[CreditReport]:
    found = credit.directions(believed.posterior, angles)
    visitors = {angle: sum(shown[i] for i, other in enumerate(angles) if other == angle) for angle in set(angles)}
    return [_row("direction", angle, one, visitors[angle], "the mean of all other pages") for angle, one in found]


def _gene_rows(believed: Belief, held: Sequence[Mapping[str, str]], shown: Any) -> list[CreditReport]:
    rows = []
    for gene in credit.genes(believed.posterior, pedigree.seen(believed), held):
        if gene.slot == "angle":
            continue  # it is the direction's row
        visitors = sum(shown[place] for place, genes in enumerate(held) if genes[gene.slot] == gene.option)
        against = f"other {SLOT_WORDS.get(gene.slot, gene.slot)}"
        rows.append(_row("gene", gene.option, gene.credit, visitors, against, slot=gene.slot))
    return rows


# --- In words ----------------------------------------------------------------------------------------------------


def _is_learnt(row: CreditReport) -> bool:
    """Tell whether a row is sure, and about more than one page that few saw: it is carried on into others."""
    is_sure = row.lift_interval[0] > 0 or row.lift_interval[1] < 0
    return is_sure and row.pages >= FEWEST_PAGES and row.visitors >= FEWEST_VISITORS


def _learnt(row: CreditReport) -> str:
    lift = f"{wording.lift(row.lift, row.lift_interval)} ({wording.lift_interval(row.lift_interval)})"
    stands_on = f"{wording.count_of(row.visitors, 'visitor')} on {wording.count_of(row.pages, 'page')}"
    option = wording.shortened(wording.option_words(row.slot, row.name), LONGEST_OPTION)
    if row.kind == "operator":
        return f"{OPERATOR_PLURALS.get(row.name, row.name)} turned out {lift} against {row.against}: {stands_on}."
    if row.kind == "direction":
        return f"Pages about “{option}” turned out {lift} against {row.against}: {stands_on}."
    held = f"Pages with the {SLOT_WORDS.get(row.slot, row.slot)} “{option}”"
    return f"{held} turned out {lift} against pages with another, whatever else they hold: {stands_on}."


def _works(believed: Belief, bred: Sequence[Breeding]) -> str:
    """Say whether children are better than their parents, on evidence that holds however often one looks."""
    births = pedigree.births(believed, bred)
    if not births:
        return ""
    found = credit.works(believed.effective.conversions, believed.known.shares, births)
    pages = wording.count_of(len(births), "child").replace("childs", "children")
    if found.is_better:
        return f"Breeding works here: taken together, the {pages} so far convert better than their parents."
    if found.is_worse:
        return f"Breeding does harm here: taken together, the {pages} so far convert worse than their parents."
    return f"Whether breeding works here is not sure yet: {pages} so far, too few visitors to say."
