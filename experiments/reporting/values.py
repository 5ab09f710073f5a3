"""What a report says, as values: page, charts, API and exports all read these and nothing else.

Rates, shares and lifts are fractions. What is not known is None, never zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmReport:
    key: str
    name: str
    is_control: bool
    status: str
    share: float
    exposures: int
    conversions: int
    value: float
    rate: float | None  # conversions per exposure, as counted
    rate_interval: tuple[float, float] | None
    probability_best: float | None
    expected_loss: float | None  # in rate units: what showing this arm costs, on average, if another is better
    lift: float | None  # over the control, corrected for when each arm was shown
    lift_interval: tuple[float, float] | None
    lift_raw: float | None  # the plain ratio of the two rates, minus one
    is_better: bool  # than the control, by evidence that holds however often one looks
    goal_values: dict[str, float]  # summed value of every goal that has one
    goals: dict[str, int]  # conversions of every goal
    genes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatioReport:
    p_value: float | None
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictReport:
    state: str  # collecting, leaning, decided, no_difference, cannot_be_trusted
    text: str
    # Two claims, each by evidence that holds however often one looks; the second is the harder one.
    better_than_control: bool = False  # the leader is better than today's page
    best_of_all: bool = False  # the leader is better than every other page


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofReport:
    """A proof round: one page and the control from zero, on a fixed split."""

    state: str  # running, paused, ended; frozen: the split failed meanwhile; set_aside: with the numbers of its time
    arm: str
    name: str
    since_epoch: int
    exposures: tuple[int, int]  # of the control, of the page
    conversions: tuple[int, int]
    lift: float | None  # the one to report: nobody chose it for being high
    lift_interval: tuple[float, float] | None
    is_proved: bool  # by evidence that holds however often one looks
    is_reported: bool  # everybody sees this page now: its lift in this round is the experiment's result
    started_at: datetime
    ended_at: datetime | None
    text: str

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def is_shown(self) -> bool:
        """Whether this round decides what new visitors see: half of them its page, half today's."""
        return self.state in {"running", "frozen"} and not self.is_over


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """Conversions earned, and what an equal split of the same visitors would have earned."""

    earned: int
    equal_split: float
    equal_split_interval: tuple[float, float]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlookReport:
    """How long it will probably still take, by simulation."""

    days: float | None  # in half of the simulated futures it is known by then which page is best; None if in fewer
    days_at_most: float | None  # in nine of ten
    better_days: float | None  # the same for: a page is surely better than today's
    better_days_at_most: float | None
    arms_afforded: int  # how many pages earn most from the planned visitors
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An allocation as history: what was known and what was decided at one time."""

    at: datetime
    epoch: int
    shares: dict[str, float]
    counts: dict[str, list[int]]  # [exposures, conversions] of each arm
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    experiment_id: int
    name: str
    slug: str
    status: str
    policy: str
    goal: str
    epoch: int
    generated_at: datetime
    counted_until: datetime  # what happened later may be missing from the counts
    delays: Sequence[str]  # why, in sentences; empty as long as counting keeps up
    started_at: datetime | None
    finished_at: datetime | None
    arms: Sequence[ArmReport]
    waiting: int  # approved pages that wait until the traffic affords them
    sample_ratio: SampleRatioReport
    verdict: VerdictReport
    history: Sequence[Moment]
    not_counted: dict[str, int]  # by kind: bots, people who opted out, late conversions …
    leads: int
    forgotten: int = 0  # people who were counted and then asked to be forgotten: erased, and still in the totals
    frozen_at: datetime | None = None  # since when shares stand still because visitors were not split as planned
    set_aside: int = 0  # visitors of earlier epochs that no number here is computed from
    proofs: Sequence[ProofReport] = ()  # every proof round, the newest first
    replay: ReplayReport | None = None
    outlook: OutlookReport | None = None
    still_maturing: float = 0.0  # part of the conversions of visitors so far that is expected still to come

    @property
    def exposures(self) -> int:
        return sum(arm.exposures for arm in self.arms)

    @property
    def conversions(self) -> int:
        return sum(arm.conversions for arm in self.arms)

    @property
    def proof(self) -> ProofReport | None:
        """The round that matters: that of the page everybody sees now, else the newest."""
        return next((proof for proof in self.proofs if proof.is_reported), next(iter(self.proofs), None))

    @property
    def leader(self) -> ArmReport | None:
        """The arm most likely to be best so far, which need not be a winner; None where no arm can be said to lead."""
        if self.verdict.state == "cannot_be_trusted":
            return None
        seen = [arm for arm in self.arms if arm.exposures]
        return max(seen, key=lambda arm: arm.probability_best or 0.0, default=None)
