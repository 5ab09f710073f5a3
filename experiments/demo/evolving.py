"""Let the sample experiment evolve while simulated visitors come: three rounds, and the wall after the third."""

from collections.abc import Callable

from django.contrib.auth.models import User

from experiments import walls
from experiments.models import Experiment
from experiments.walls import Walls
from variants.breeding import SLOTS
from variants.models import Breeding

ROUNDS = 3
# The sample's button is the brief's own, so that no writer has another one to offer.
GENES = tuple(slot for slot in SLOTS if slot != "call_to_action")
WALLS = Walls(genes=GENES, is_autopilot=True, rounds_per_week=1_000, unproven_share=0.15)


def begin(experiment: Experiment, *, by: User) -> None:
    """Set the walls and let pages breed."""
    walls.move(experiment, WALLS, by=by)
    walls.switch_on(experiment, by=by)


def rounds(experiment: Experiment) -> int:
    """Return how many rounds there were."""
    return len(set(Breeding.objects.filter(generation__nursery=experiment.nursery_id).values_list("round", flat=True)))


def keep_going(experiment: Experiment, *, part: float, by: User, say: Callable[[str], None]) -> None:
    """Ask for the next round when so much of the visitors has come and it is not there; stop after the last."""
    there = rounds(experiment)
    if there >= ROUNDS:
        stop(experiment, by=by, say=say)
    elif part >= (there + 1) / (ROUNDS + 1) and not experiment.evolution.is_wanted_now:
        walls.want_round(experiment, by=by)


def stop(experiment: Experiment, *, by: User, say: Callable[[str], None]) -> None:
    experiment.evolution.refresh_from_db()
    if experiment.evolution.is_on:
        walls.switch_off(experiment, by=by)
        say("Three rounds were bred; breeding is switched off, and the last children are judged.")


def told(experiment: Experiment) -> str:
    """Return one sentence about what breeding did last."""
    step = experiment.evolution_steps.last()
    return step.what if step else "Nothing was bred yet."
