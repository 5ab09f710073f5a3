"""What a report says, as values: page, charts, API and exports all read these and nothing else.

Rates, shares and lifts are fractions. What is not known is None, never zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

LEFT = frozenset({"retired", "paused"})  # statuses of arms that new visitors are not sent to any more


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
    lift_raw: float | None  # the plain ratio of the two totals per visitor, minus one
    is_better: bool  # than the control, by evidence that holds however often one looks
    goal_values: dict[str, float]  # summed value of every goal that has one
    goals: dict[str, int]  # conversions of every goal
    genes: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRatioReport:
    p_value: float | None
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureReport:
    """The one number that a reader can defend: how much the page in front differs from today's, as a range."""

    arm: str
    lift: float
    lift_interval: tuple[float, float]
    what: str  # it is of: leads per visitor …


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictReport:
    state: str  # collecting, leaning, decided, no_difference, cannot_be_trusted
    text: str
    # Two claims, each by evidence that holds however often one looks; the second is the harder one.
    better_than_control: bool = False  # the leader is better than today's page
    best_of_all: bool = False  # the leader is better than every other page
    # The same in parts, each a sentence or two; empty where there is nothing to say.
    action: str = ""  # what to do
    sure: str = ""  # how sure it is
    unknown: str = ""  # what is not known yet
    when: str = ""  # how long until it is, at today's traffic
    figure: FigureReport | None = None  # None while it is too early, and where nothing can be trusted


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
class GainReport:
    """Conversions gained over an equal split of the same visitors, up to one time."""

    at: datetime
    gained: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionReport:
    """What one option of a gene brings, beside the other options of its slot; the pages' other genes taken out."""

    option: str
    pages: int
    exposures: int
    effect: float
    interval: tuple[float, float]
    is_thin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReport:
    slot: str  # angle, layout …
    title: str
    options: Sequence[OptionReport]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentReport:
    """Visitors of one kind: how they convert, and whether the page in front does better with them, too."""

    value: str
    exposures: int
    conversions: int
    rate: float | None
    rate_interval: tuple[float, float] | None
    lift: float | None  # of the compared page over today's, among these visitors alone
    lift_interval: tuple[float, float] | None
    is_thin: bool  # too few to compare pages


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionReport:
    key: str  # source, campaign …
    title: str
    segments: Sequence[SegmentReport]
    other_exposures: int  # in smaller segments, together
    other_conversions: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakdownReport:
    made_at: datetime
    visitors: int
    compared: str  # key of the page that is compared with today's in each segment; empty if there is none
    name: str
    dimensions: Sequence[DimensionReport]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReport:
    """Whether the visitors of one day arrived as they were sent."""

    day: datetime
    exposures: int
    arm: str  # the page furthest from what it was promised
    name: str
    got: int
    expected: float
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    splits: Sequence[SplitReport]  # by day, the newest first
    bots: int
    bots_today: int  # within the last 24 hours
    late: int
    late_today: int
    consent_required: bool
    no_consent: int
    refused: int  # records that could not be counted, kept for a person to read


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueReport:
    """What a visitor of one page is worth."""

    arm: str
    name: str
    value: float
    per_visitor: float
    interval: tuple[float, float] | None
    per_order: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachReport:
    """How many of a page's visitors reached a goal."""

    arm: str
    name: str
    exposures: int
    reached: int
    rate: float | None
    rate_interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalReport:
    """A goal that does not decide, on the page that is likeliest to be best but for today's, and on today's."""

    goal: str
    does: str  # what a visitor does who reaches it
    page: ReachReport
    today: ReachReport
    lift: float | None  # of these visitors alone, inside strata; None while there are too few
    lift_interval: tuple[float, float] | None
    should_not_rise: bool  # as complaints should not
    is_worse: bool  # than on today's page, beyond chance: fewer, or more of what should not rise
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyReport:
    currency: str
    values: Sequence[ValueReport]  # of a revenue goal; empty for others
    model_usd: float  # what writing the pages cost
    extra: float | None  # conversions more than today's page alone would have brought, from the same visitors
    extra_interval: tuple[float, float] | None
    usd_per_extra: float | None
    usd_per_extra_interval: tuple[float, float] | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A variant in the family tree."""

    id: int
    number: int
    key: str  # of its arm; empty while it has none
    name: str
    operator: str  # empty: the first generation
    round: int | None  # of breeding
    parents: tuple[int, ...]
    changed: tuple[str, ...]  # slots in which it differs from its (first) parent
    direction: str
    reason: str
    model: str
    prompt_version: str
    cost_usd: float | None  # its part of its generation's cost; None where nobody was asked
    status: str  # control, live, waiting, retired, paused, draft, approved, rejected
    exposures: int
    conversions: int
    rate: float | None
    lift: float | None  # over today's page
    lift_interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditReport:
    """What an operator, a direction or a gene earned."""

    kind: str  # operator, direction, gene
    name: str
    slot: str  # of a gene
    lift: float
    lift_interval: tuple[float, float]
    chance_better: float
    pages: int
    visitors: int
    against: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where every variant came from, and what that earned."""

    experiment_id: int
    members: Sequence[Member]
    credit: Sequence[CreditReport]
    learnt: Sequence[str]
    works: str  # whether breeding works, in words; empty while nothing was bred

    @property
    def is_bred(self) -> bool:
        return any(member.parents or member.round for member in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlReport:
    """Another page took today's page's place while the experiment ran."""

    arm: str  # today's page from then on
    before: str  # what was today's page until then
    since_epoch: int
    made_at: datetime
    text: str
    head: Sequence[str]  # of what was known against the page before, as it stood
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What was known at one time, and the shares in force; `reason` is empty where none were decided then."""

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
    controls: Sequence[ControlReport] = ()  # changes of today's page, the newest first
    lineage: Lineage | None = None  # None where no page ever came from another
    still_maturing: float = 0.0  # part of the conversions of visitors so far that is expected still to come
    gained: Sequence[GainReport] = ()  # over time
    slots: Sequence[SlotReport] = ()
    breakdown: BreakdownReport | None = None
    health: HealthReport | None = None
    money: MoneyReport | None = None
    other_goals: Sequence[GoalReport] = ()  # beside the one that decides

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
    def is_early(self) -> bool:
        """Whether pages are not compared yet: then a single number of a lift would mislead."""
        return self.verdict.state == "collecting"

    @property
    def leader(self) -> ArmReport | None:
        """The arm most likely to be best so far, which need not be a winner; None where no arm can be said to lead."""
        if self.verdict.state == "cannot_be_trusted":
            return None
        seen = [arm for arm in self.arms if arm.exposures]
        return max(seen, key=lambda arm: arm.probability_best or 0.0, default=None)
