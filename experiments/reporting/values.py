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
    started_at: datetime | None
    finished_at: datetime | None
    arms: Sequence[ArmReport]
    waiting: int  # approved pages that wait until the traffic affords them
    sample_ratio: SampleRatioReport
    verdict: VerdictReport
    history: Sequence[Moment]
    not_counted: dict[str, int]  # by kind: bots, people who opted out, late conversions …
    leads: int

    @property
    def exposures(self) -> int:
        return sum(arm.exposures for arm in self.arms)

    @property
    def conversions(self) -> int:
        return sum(arm.conversions for arm in self.arms)

    @property
    def leader(self) -> ArmReport | None:
        """The arm most likely to be best so far, which need not be a winner; None where no arm can be said to lead."""
        if self.verdict.state == "cannot_be_trusted":
            return None
        seen = [arm for arm in self.arms if arm.exposures]
        return max(seen, key=lambda arm: arm.probability_best or 0.0, default=None)
