"""Turn an experiment's proof rounds into what its report says of them: lift, visitors, when, and what was decided.

A round is one epoch with a fixed split, so plain counts need no correction. It stays in the report when it is over.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np

from experiments import bandit, evidence, inference
from experiments.evidence import Floats
from experiments.models import Allocation, Arm, Experiment, ProofRound
from experiments.reporting import wording
from experiments.reporting.values import ProofReport

LEVEL = 0.95
CONTROL, PAGE = 0, 1  # their places in a round's counts

Status = Experiment.Status


@dataclass(frozen=True, kw_only=True)
class _Round:
    """A proof round with its counts; a column for the control and one for the page."""

    experiment: Experiment
    control: Arm  # of that time
    arm: Arm
    epoch: int
    started_at: datetime
    ended_at: datetime | None
    exposures: Floats
    conversions: Floats

    @cached_property
    def state(self) -> str:
        if self.epoch < self.experiment.trusted_from_epoch:
            return "set_aside"
        if self.experiment.frozen_at:
            return "frozen"
        if self.ended_at:
            return "ended"
        return "paused" if self.experiment.status == Status.PAUSED else "running"

    @cached_property
    def lift(self) -> tuple[float, float, float] | None:
        """(median, low, high); None where nothing can be said."""
        shown, converted = self.exposures.sum(axis=0), self.conversions.sum(axis=0)
        if self.state in {"set_aside", "frozen"} or not shown.all():
            return None
        found = bandit.lift_interval(*bandit.posterior(shown, converted), control=CONTROL, level=LEVEL)
        middle, low, high = (float(part[PAGE]) for part in found)
        return middle, low, high

    @cached_property
    def is_proved(self) -> bool:
        if self.lift is None:
            return False
        found = inference.evidence_for(PAGE, self.exposures, self.conversions)[CONTROL]
        return float(found) > inference.winner_threshold(2)

    @property
    def against(self) -> str:
        """What it was compared with: today's page, or what was it then."""
        if self.control.is_control:
            return "against today's page from zero"
        return f"against “{self.control.variant.name}”, the page of that time, from zero"

    @cached_property
    def took_its_place(self) -> bool:
        """Whether its page became today's page for it, and the experiment went on."""
        return self.experiment.control_changes.filter(arm=self.arm, before=self.control).exists()

    @property
    def is_of_the_winner(self) -> bool:
        return self.experiment.status == Status.PROMOTED and self.experiment.winner_id == self.arm.pk


def proofs(experiment: Experiment) -> list[ProofReport]:
    """Report every proof round, the newest first."""
    kept = list(experiment.proof_rounds.select_related("arm__variant"))
    if not kept:
        return []
    allocations = {allocation.epoch: allocation for allocation in experiment.allocations.all()}
    rounds = [_counted(experiment, row, allocations) for row in reversed(kept) if row.epoch in allocations]
    # Of several rounds of the page everybody sees, the newest that counts is the result: choosing one would flatter.
    reported = next((found for found in rounds if found.is_of_the_winner and found.lift), None)
    return [_report(found, is_reported=found is reported) for found in rounds]


def _counted(experiment: Experiment, row: ProofRound, allocations: dict[int, Allocation]) -> _Round:
    control = evidence.control_in(experiment, row.epoch)
    known = evidence.gather(experiment, [control, row.arm], from_epoch=row.epoch)
    of_the_round = np.array([epoch == row.epoch for epoch, _ in known.strata], dtype=bool)
    following = allocations.get(row.epoch + 1)
    return _Round(
        experiment=experiment,
        control=control,
        arm=row.arm,
        epoch=row.epoch,
        started_at=allocations[row.epoch].created_at,
        ended_at=following.created_at if following else experiment.finished_at,
        exposures=known.exposures[of_the_round],
        conversions=known.conversions[of_the_round],
    )


def _report(found: _Round, *, is_reported: bool) -> ProofReport:
    shown, converted = found.exposures.sum(axis=0), found.conversions.sum(axis=0)
    return ProofReport(
        state=found.state,
        arm=found.arm.key,
        name=found.arm.variant.name,
        since_epoch=found.epoch,
        exposures=(int(shown[CONTROL]), int(shown[PAGE])),
        conversions=(int(converted[CONTROL]), int(converted[PAGE])),
        lift=found.lift[0] if found.lift else None,
        lift_interval=found.lift[1:] if found.lift else None,
        is_proved=found.is_proved,
        is_reported=is_reported,
        started_at=found.started_at,
        ended_at=found.ended_at,
        text=_text(found),
    )


# --- In words ----------------------------------------------------------------------------------------------------


def _text(found: _Round) -> str:
    name = f"“{found.arm.variant.name}”"
    if found.state == "set_aside":
        return f"{_when(found)} {name} ran {found.against}. It was set aside: visitors were not split as planned."
    if found.state == "frozen":
        rest = "It counts for nothing" if found.ended_at else "It stands still; setting the numbers aside ends it"
        return f"{name} {found.against}: visitors are not split as planned, so nothing can be said. {rest}."
    if found.lift is None:
        return f"{_began(found, name)}. Nobody {'was' if found.ended_at else 'has been'} counted{_yet(found)}."
    middle, *interval = found.lift
    ends = (interval[0], interval[1])
    visitors = wording.count_of(int(found.exposures.sum()), "visitor")
    lift = f"{wording.lift(middle, ends)} ({wording.lift_interval(ends)})"
    return f"{_began(found, name)}, {visitors}: {lift}. {_what_it_is_worth(found)}{_what_was_decided(found)}"


def _began(found: _Round, name: str) -> str:
    if found.ended_at:
        return f"{_when(found)} {name} ran {found.against}"
    return f"Since {wording.day(found.started_at)} {name} runs {found.against}"


def _when(found: _Round) -> str:
    began, ended = wording.day(found.started_at), wording.day(found.ended_at or found.started_at)
    return f"On {began}" if began == ended else f"From {began} to {ended}"


def _yet(found: _Round) -> str:
    return "" if found.ended_at else " yet"


def _what_it_is_worth(found: _Round) -> str:
    if found.is_proved:
        return "Proved: this is the lift to report."
    if found.ended_at is None:
        return "Not proved yet. Once it is, report this lift: the other one was chosen for looking best."
    if found.is_of_the_winner:
        return "Not proved, but still the lift to report: the other one was chosen for looking best."
    return "Not proved."


def _what_was_decided(found: _Round) -> str:
    """Say, with a space before it, how it went on."""
    winner = found.experiment.winner
    if found.experiment.status == Status.PROMOTED and winner is not None:
        return " Everybody sees it now." if found.is_of_the_winner else f" Everybody now sees “{winner.variant.name}”."
    if found.ended_at is None:
        return " It waits while the experiment is paused." if found.state == "paused" else ""
    if found.took_its_place:
        return " It is today's page since then." if found.arm.is_control else " It was today's page after that."
    if found.arm.status == Arm.Status.PAUSED and found.arm.reason:
        return f" The page was stopped: {found.arm.reason}."
    if found.experiment.finished_at == found.ended_at:
        return " It ended with the experiment; which page everybody sees is not chosen yet."
    return " It was ended without choosing a page."
