"""Who came from whom: what was bred for an experiment, and what its breeding is judged by.

Between the database and credit.py, which is arithmetic: places of arms in, credit out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from django.db.models import Prefetch

from experiments import credit, walls
from experiments.belief import Belief
from experiments.credit import Birth, Likelihood, OperatorCredit
from experiments.models import Experiment
from experiments.walls import Walls
from variants import breeding
from variants.breeding import Operator
from variants.models import Breeding, Direction, Variant


def bred_for(experiment: Experiment) -> Sequence[Breeding]:
    """Return everything that was bred for an experiment, in the order it was."""
    found = Breeding.objects.filter(generation__nursery=experiment.nursery_id)
    who = Prefetch("parents", Variant.objects.only("pk"))
    return list(found.select_related("generation").prefetch_related(who).order_by("pk"))


def births(believed: Belief, bred: Sequence[Breeding]) -> list[Birth]:
    """Return the children that visitors have seen, with the arms that they are compared with."""
    place_of = {arm.variant_id: place for place, arm in enumerate(believed.known.arms)}
    by_generation = {arm.variant.generation_id: place for place, arm in enumerate(believed.known.arms)}
    found = []
    for one in bred:
        child = by_generation.get(one.generation_id)
        against = tuple(place_of[parent.pk] for parent in one.parents.all() if parent.pk in place_of)
        if child is None or not against:
            continue
        shown = np.flatnonzero(believed.known.exposures[:, child])
        epoch = int(shown[0]) if len(shown) else len(believed.known.strata)
        found.append(Birth(child=child, against=against, operator=Operator(one.operator), epoch=epoch))
    return found


def bred_places(believed: Belief, bred: Sequence[Breeding]) -> frozenset[int]:
    """Return the places of the arms that were bred."""
    of_rounds = {one.generation_id for one in bred}
    arms = believed.known.arms
    return frozenset(place for place, arm in enumerate(arms) if arm.variant.generation_id in of_rounds)


def open_directions(experiment: Experiment, within: Walls) -> list[Direction]:
    """Return the directions that fresh ideas may take."""
    there = experiment.nursery.directions.filter(is_struck=False)
    return list(there if within.directions is None else there.filter(pk__in=within.directions))


def open_operators(experiment: Experiment) -> list[Operator]:
    """Return the ways to breed that the walls leave open."""
    within = walls.of(experiment)
    slots = within.genes
    found = [Operator.CROSSOVER, Operator.MUTATION] if slots is None or slots else []
    is_open = slots is None or {"angle", "headline"}.issubset(slots)
    return [*found, Operator.FRESH] if is_open and open_directions(experiment, within) else found


def seen(believed: Belief) -> Likelihood:
    """Return what was counted, free of any prior."""
    return credit.likelihood(believed.posterior, believed.matured, believed.effective.conversions)


def operator_credits(
    believed: Belief, bred: Sequence[Breeding], wanted: Sequence[Operator] = ()
) -> dict[Operator, OperatorCredit]:
    """Return what the children of each operator were worth, and what is expected of those wanted that have none yet."""
    children = bred_places(believed, bred)
    founders = [place for place in range(len(believed.known.arms)) if place not in children]
    fresh = credit.expected_of_fresh(believed.posterior, founders, believed.live) if founders else 0.0
    return credit.operators(seen(believed), births(believed, bred), wanted=wanted, fresh=fresh)


def known_genes(believed: Belief, held: Sequence[Mapping[str, str]]) -> list[breeding.Known]:
    """Return what is known of genes, as a writer is told of it."""
    shown = believed.known.total_exposures
    return [
        breeding.Known(
            slot=gene.slot,
            option=gene.option,
            lift=gene.credit.lift,
            low=gene.credit.low,
            high=gene.credit.high,
            visitors=float(sum(shown[place] for place, genes in enumerate(held) if genes[gene.slot] == gene.option)),
        )
        for gene in credit.genes(believed.posterior, seen(believed), held)
    ]
