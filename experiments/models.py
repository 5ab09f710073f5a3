"""What is kept of experiments: who may see what, what happened, and what was decided on which evidence."""

import secrets
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Coalesce
from django.utils import timezone

from variants.models import Nursery, Variant

VISITOR_LENGTH = 32  # hexadecimal digits of 128 random bits
ARM_KEY_LENGTH = 20
GOAL_KEY_LENGTH = 40
EXPOSURES = "exposures"  # the measure of an EpochCount that counts exposures; goals are counted under their own keys

slug_shape = RegexValidator(
    r"^[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?\Z", "Use small letters, digits and hyphens, such as spring-offer."
)
goal_key_shape = RegexValidator(
    rf"^(?!{EXPOSURES}\Z)[a-z][a-z0-9_-]{{0,38}}\Z", "Use small letters, digits, - and _, such as signup."
)


def new_salt() -> str:
    return secrets.token_hex(8)


def new_app_key() -> str:
    return f"gh_app_{secrets.token_urlsafe(24)}"


class Experiment(models.Model):
    """One page under test. Only lifecycle.py writes `status`."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        RUNNING = "running"
        PAUSED = "paused"
        FINISHED = "finished"
        PROMOTED = "promoted"

    class Policy(models.TextChoices):
        EARN = "earn", "Earn: most visitors see what converts best"
        LEARN = "learn", "Learn: spend more visitors on being sure"
        QUICK = "quick", "Learn quickly: spend still more of them"
        EQUAL = "equal", "Equal: every page gets the same share"

    name = models.CharField(max_length=120)
    slug = models.CharField(max_length=60, unique=True, validators=[slug_shape], help_text="The page's address: /p/…/")
    nursery = models.OneToOneField(Nursery, on_delete=models.PROTECT, related_name="experiment", editable=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.DRAFT, editable=False)
    policy = models.CharField(max_length=5, choices=Policy.choices, default=Policy.EARN)
    control_share = models.FloatField(
        default=0.1,
        validators=[MinValueValidator(0.0), MaxValueValidator(0.9)],
        help_text="Part of new visitors who always see today's page, from 0 to 0.9. It keeps the comparison honest.",
    )
    traffic_share = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.001), MaxValueValidator(1.0)],
        help_text="Part of visitors who take part, from 0 to 1. The others see today's page and are not counted.",
    )
    consent_required = models.BooleanField(
        default=False, help_text="Count and remember nobody before they have agreed on the page."
    )
    confirm_exposures = models.BooleanField(
        default=False, help_text="Count a visitor only after the page has run in a browser."
    )
    has_arm_budget = models.BooleanField(
        default=True, help_text="Let only as many pages go live as the traffic can tell apart; the others wait."
    )
    visitors_per_day = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1_000_000_000)],
        help_text="About how many people visit this page a day. Leave it empty if you cannot say: all pages go live.",
    )
    currency = models.CharField(
        max_length=3, default="USD", validators=[RegexValidator(r"^[A-Z]{3}\Z", "Use three capitals, such as EUR.")]
    )
    planned_days = models.PositiveIntegerField(default=14, validators=[MinValueValidator(1), MaxValueValidator(3650)])
    usual_rate = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0001), MaxValueValidator(0.9)],
        help_text="Which part of the visitors reaches the goal today, as a fraction. Leave it empty if you cannot say.",
    )
    salt = models.CharField(max_length=16, default=new_salt, editable=False)
    sequence = models.PositiveBigIntegerField(default=0, editable=False)  # of the last snapshot made for it
    deployment = models.ForeignKey(
        "experiments.Deployment", null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    winner = models.ForeignKey("experiments.Arm", null=True, editable=False, on_delete=models.PROTECT, related_name="+")
    # Since when shares stand still because visitors were not split as planned; None while they were.
    frozen_at = models.DateTimeField(null=True, editable=False)
    # What was counted in earlier epochs was set aside: it is kept, and no number is computed from it.
    trusted_from_epoch = models.PositiveIntegerField(default=0, editable=False)
    # The proof round: this arm and the control alone, on a fixed split, since this epoch.
    proof_arm = models.ForeignKey(
        "experiments.Arm", null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    proof_epoch = models.PositiveIntegerField(null=True, editable=False)
    # Brief and brand as its pages are made with them, since they were agreed to; see surroundings.py. None before the
    # first deployment.
    surroundings = models.JSONField(null=True, editable=False)
    surroundings_at = models.DateTimeField(null=True, editable=False)  # when they were agreed to
    outlook = models.JSONField(null=True, editable=False)  # how long still, as last simulated; see outlook.py
    # Where visitors find the page on a site of the marketer's, as https://shop.example/offer/; empty for /p/…/ here.
    address = models.CharField(max_length=200, blank=True, default="", editable=False)
    # Those it had under four eyes: no page of another brand comes to stand there.
    earlier_addresses = models.JSONField(default=list, editable=False)
    address_check = models.JSONField(null=True, editable=False)  # what the last look at that address found
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    # Who last changed its settings or goals: under four eyes somebody else has to start it.
    edited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    # Of a copy: primary keys of those who set up or changed what it was copied from.
    earlier_authors = models.JSONField(default=list, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)
    # When the timetable is to start and to stop it, who said so, and in which time zone they think of it.
    starts_at = models.DateTimeField(null=True, editable=False, db_index=True)
    ends_at = models.DateTimeField(null=True, editable=False, db_index=True)
    # When that was said; None once settings or goals were changed since.
    scheduled_at = models.DateTimeField(null=True, editable=False)
    scheduled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    time_zone = models.CharField(max_length=64, default="UTC", editable=False)
    schedule_problem = models.TextField(blank=True, editable=False)  # why the start that was planned did not happen
    pulse = models.JSONField(null=True, editable=False)  # when counts last grew, for watch.py
    standing = models.JSONField(null=True, editable=False)  # verdict and extra conversions, as last judged; standing.py

    class Meta:
        permissions: ClassVar = [("start_experiment", "Can start, pause, stop and promote experiments")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(control_share__gte=0, control_share__lte=0.9), name="control_share_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(traffic_share__gt=0, traffic_share__lte=1), name="traffic_share_in_range"
            ),
            models.UniqueConstraint(
                fields=["address"], condition=~models.Q(address=""), name="address_of_one_experiment"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Goal(models.Model):
    """What counts as a conversion."""

    class Kind(models.TextChoices):
        FORM = "form", "sends the page's form"
        CLICK = "click", "clicks the page's button"
        EVENT = "event", "does something the page reports"
        REVENUE = "revenue", "buys something, with its value"

    class Guard(models.TextChoices):
        NONE = "", "no guardrail"
        RISE = "rise", "is reached more often than on today's page, as complaints are"
        FALL = "fall", "is reached less often than on today's page"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="goals")
    key = models.CharField(max_length=GOAL_KEY_LENGTH, validators=[goal_key_shape])
    kind = models.CharField(max_length=7, choices=Kind.choices, default=Kind.FORM)
    is_primary = models.BooleanField(default=False, help_text="The one goal that decides.")
    window_hours = models.PositiveIntegerField(
        default=168,
        validators=[MinValueValidator(1), MaxValueValidator(24 * 365)],
        help_text="How long after the first visit it still counts, in hours. 168 is a week.",
    )
    link = models.CharField(
        max_length=40,
        default="cta",
        validators=[RegexValidator(r"^(cta|more)\Z", "Choose cta (the main button) or more (the second link).")],
        help_text="For click goals: cta is the main button, more the second link.",
    )
    weight = models.FloatField(
        default=0.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(1_000_000.0)],
        help_text="What reaching it is worth beside the other goals. With 0 everywhere the primary goal decides alone.",
    )
    guard = models.CharField(
        max_length=4,
        choices=Guard.choices,
        default=Guard.NONE,
        blank=True,
        help_text="Take a page out when this goal turns for the worse on it.",
    )
    # A visitor of ours reached it, and on which page as it was then: any change since makes the test worth nothing.
    tested_at = models.DateTimeField(null=True, editable=False)
    tested_as = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "key"], name="goal_key_once_per_experiment"),
            models.UniqueConstraint(
                fields=["experiment"], condition=models.Q(is_primary=True), name="one_primary_goal_per_experiment"
            ),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def window(self) -> timedelta:
        return timedelta(hours=self.window_hours)

    @property
    def does(self) -> str:
        """What a visitor does who reaches it, to stand after “a visitor”."""
        if self.kind == self.Kind.CLICK:
            return "clicks the second link" if self.link == "more" else "clicks the main button"
        return str(self.get_kind_display())


class Arm(models.Model):
    """A variant inside an experiment."""

    class Status(models.TextChoices):
        WAITING = "waiting"  # approved, but the traffic affords no more live arms yet
        LIVE = "live"
        RETIRED = "retired"  # gets no new visitor; those who know it keep it
        PAUSED = "paused"  # the same, because a guardrail stopped it: `reason` says which

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="arms")
    variant = models.OneToOneField(Variant, on_delete=models.PROTECT, related_name="arm")
    key = models.CharField(max_length=ARM_KEY_LENGTH)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    entered_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=200, blank=True)  # why it gets no new visitors
    # What takes its place: once that variant is live, this arm retires.
    successor = models.ForeignKey(Variant, null=True, blank=True, on_delete=models.SET_NULL, related_name="succeeds")

    class Meta:
        ordering: ClassVar = ["variant__number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "key"], name="arm_key_once_per_experiment"),
        ]

    def __str__(self) -> str:
        return self.key

    @property
    def is_control(self) -> bool:
        return self.variant.is_control


class Allocation(models.Model):
    """A dated set of shares, with the counts they were computed from. Rows are only ever added."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="allocations")
    epoch = models.PositiveIntegerField()
    shares = models.JSONField()  # {arm key: fraction of new visitors}
    counts = models.JSONField(default=dict)  # {arm key: [exposures, conversions]} at the time
    probability_best = models.JSONField(default=dict)  # {arm key: probability}
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["epoch"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "epoch"], name="epoch_once_per_experiment"),
        ]

    def __str__(self) -> str:
        return f"epoch {self.epoch}"


class ProofRound(models.Model):
    """One page and the control alone, half and half, from zero. Rows are only ever added, so that no result is lost.

    Shares stand still during a round, so it is one epoch, and it ends where the next epoch begins.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="proof_rounds")
    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="+")
    epoch = models.PositiveIntegerField()

    class Meta:
        ordering: ClassVar = ["epoch"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "epoch"], name="proof_round_once_per_epoch"),
        ]

    def __str__(self) -> str:
        return f"proof round in epoch {self.epoch}"


class ControlChange(models.Model):
    """A proved page took the place of today’s page, and the experiment went on. Rows are only ever added."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="control_changes")
    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="+")
    before = models.ForeignKey(Arm, on_delete=models.CASCADE, related_name="+")  # what was today’s page until then
    epoch = models.PositiveIntegerField()  # the first in which `arm` is today’s page
    # What was known against the page before, as the report had it: rows of {key, name, exposures, rate, lift …}.
    standing = models.JSONField(default=list)
    lift = models.JSONField(null=True)  # [median, low, high] of its proof round: the one to report
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["epoch"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "epoch"], name="one_control_change_per_epoch"),
        ]

    def __str__(self) -> str:
        return f"{self.arm} is the control from epoch {self.epoch}"


class Evolution(models.Model):
    """The walls within which an experiment’s pages breed, and where breeding stands. Only evolution.py writes it."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="evolution")
    is_on = models.BooleanField(default=False)
    # What may vary: names of genes, ids of directions; None for all there are, also those that come later.
    genes = models.JSONField(null=True, blank=True)
    directions = models.JSONField(null=True, blank=True)
    is_autopilot = models.BooleanField(default=False)  # what passes every gate goes live without being looked at
    rounds_per_week = models.PositiveIntegerField(
        default=7, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    unproven_share = models.FloatField(default=0.1, validators=[MinValueValidator(0.005), MaxValueValidator(0.5)])
    quiet_from = models.TimeField(null=True, blank=True)
    quiet_until = models.TimeField(null=True, blank=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    stopped_at = models.DateTimeField(null=True, editable=False)
    stopped_reason = models.TextField(blank=True, editable=False)  # empty while it is on
    note = models.TextField(blank=True, editable=False)  # what it waits for, in words
    is_wanted_now = models.BooleanField(default=False, editable=False)  # a person asked for a round before it is due
    # When the worker that decides for it last said so; None when none does. A dead one’s hold runs out.
    held_at = models.DateTimeField(null=True, editable=False)
    looked_at = models.DateTimeField(null=True, editable=False)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )

    def __str__(self) -> str:
        return f"evolution of {self.experiment}"


class EvolutionStep(models.Model):
    """A decision about breeding, by a person or by itself. Rows are only ever added."""

    class Kind(models.TextChoices):
        SWITCHED = "switched", "switched on or off"
        WALLS = "walls", "walls moved"
        BRED = "bred", "children asked for or made"
        APPROVED = "approved", "a child goes live"
        HELD = "held", "waits"
        RETIRED = "retired", "a page retires"
        STOPPED = "stopped", "stopped by itself"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="evolution_steps")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    what = models.TextField()
    numbers = models.JSONField(default=dict)  # that it stands on
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.what[:80]


class Blob(models.Model):
    """Rendered bytes under the hash of what they are, so that an emptied Redis can be filled again to the byte."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    data = models.BinaryField()
    content_type = models.CharField(max_length=60)
    csp = models.TextField(blank=True)

    def __str__(self) -> str:
        return self.sha256


class Deployment(models.Model):
    """Which bytes each arm is served as. Rolling back is pointing at an earlier one."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="deployments")
    number = models.PositiveIntegerField()
    pages = models.JSONField()  # {arm key: {"page": sha256, "form": sha256 or null, "thanks": sha256}}
    site = models.JSONField()  # what all arms share: links, form, images, as the snapshot has them
    surroundings = models.JSONField(null=True)  # the experiment's, which it was made with
    surroundings_at = models.DateTimeField(null=True)  # when they were agreed to
    is_withdrawn = models.BooleanField(default=False)  # somebody rolled back from it: no roll-back leads to it again
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "number"], name="deployment_number_once"),
        ]

    def __str__(self) -> str:
        return f"deployment {self.number}"


class Exposure(models.Model):
    """A visitor's first sight of their arm.

    A visitor's id is made at the exposure, and cookie and token carry the time of exposure with it, signed. So the time
    may stand in the key: a visitor is still unique, new rows go to the end of the index instead of all over it, and
    PostgreSQL can partition by it. The keys of arms and goals are not checked by the database for each row, which costs
    more than the row; counting looks them up in the same transaction.
    """

    pk = models.CompositePrimaryKey("experiment", "exposed_at", "visitor")
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="exposures"
    )
    exposed_at = models.DateTimeField()
    visitor = models.CharField(max_length=VISITOR_LENGTH)
    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="+")
    epoch = models.PositiveIntegerField()
    attributes = models.JSONField(default=dict)  # campaign parameters, device, language

    def __str__(self) -> str:
        return f"{self.visitor} in epoch {self.epoch}"


class Conversion(models.Model):
    """A goal reached by an exposed visitor inside its window. Its key is made as that of Exposure."""

    pk = models.CompositePrimaryKey("experiment", "exposed_at", "visitor", "goal", "event_id")
    experiment = models.ForeignKey(
        Experiment, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="conversions"
    )
    exposed_at = models.DateTimeField()
    visitor = models.CharField(max_length=VISITOR_LENGTH)
    goal = models.ForeignKey(Goal, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="+")
    event_id = models.CharField(max_length=100, blank=True)  # empty where a goal counts once per visitor
    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, db_index=False, db_constraint=False, related_name="+")
    epoch = models.PositiveIntegerField()  # of the exposure it is credited to
    converted_at = models.DateTimeField()
    value = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"{self.visitor} reached {self.goal_id}"


class Lead(models.Model):
    """What somebody wrote into a page's form."""

    lead_id = models.CharField(max_length=32, unique=True)
    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="leads")
    visitor = models.CharField(max_length=VISITOR_LENGTH, blank=True)
    arm = models.ForeignKey(Arm, null=True, on_delete=models.SET_NULL, related_name="+")
    values = models.JSONField()  # {field name: text}
    submitted_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-submitted_at"]

    def __str__(self) -> str:
        return f"lead of {self.submitted_at:%Y-%m-%d %H:%M}"


class EpochCount(models.Model):
    """How often something happened to those who first saw an arm in one epoch and hour: all evidence stands on these.

    The stratum is the epoch (one set of shares) cut at each full hour of the exposure's own clock.
    """

    arm = models.ForeignKey(Arm, on_delete=models.CASCADE, db_index=False, related_name="counts")
    epoch = models.PositiveIntegerField()
    hour = models.DateTimeField()  # the full hour, UTC, in which the visitors were exposed
    measure = models.CharField(max_length=GOAL_KEY_LENGTH)  # EXPOSURES, or a goal's key
    count = models.PositiveBigIntegerField()
    value = models.FloatField(default=0.0)
    value_squares = models.FloatField(default=0.0)  # for the spread of revenue

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["arm", "epoch", "hour", "measure"], name="one_count_per_stratum"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.measure}"


class JournalCursor(models.Model):
    """How far a journal is counted. Moves in the same transaction as the counts."""

    journal = models.CharField(max_length=32, primary_key=True)
    offset = models.PositiveBigIntegerField(default=0)
    moved_at = models.DateTimeField(default=timezone.now, db_index=True)  # each pass publishes the recent ones

    def __str__(self) -> str:
        return f"{self.journal} at {self.offset}"


class Tally(models.Model):
    """What was seen and deliberately not counted: bots, people who opted out, forged tokens."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="tallies")
    kind = models.CharField(max_length=40)
    hour = models.DateTimeField()
    count = models.PositiveBigIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "kind", "hour"], name="one_tally_per_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.kind}"


class ForgottenVisitor(models.Model):
    """A visitor who asked to be forgotten: what still arrives of them is dropped, the totals they are part of stay."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="+")
    digest = models.CharField(max_length=64)  # of the visitor's id, which itself is gone
    forgotten_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "digest"], name="forgotten_once_per_visitor"),
        ]

    def __str__(self) -> str:
        return f"forgotten {self.forgotten_at:%Y-%m-%d}"


class AppKey(models.Model):
    """Lets an app ask for its arms and report what its visitors do (OFREP).

    No secret: it stands in web pages and installed apps. It opens nothing but the experiments it names, and a browser
    may use it only from the sites in `origins`.
    """

    name = models.CharField(max_length=80)
    key = models.CharField(max_length=60, unique=True, editable=False, default=new_app_key)
    experiments = models.ManyToManyField(Experiment, related_name="app_keys")
    origins = models.TextField(blank=True)  # one a line, such as https://shop.example
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return self.name


class KeyedVisitor(models.Model):
    """A visitor whom an app knows by a targeting key: what a cookie is to a browser (docs/decisions/0014).

    The key itself is personal and not kept. Without an arm the visitor is outside the experiment's traffic share.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, db_index=False, related_name="keyed_visitors")
    digest = models.CharField(max_length=64)  # of the targeting key, keyed
    visitor = models.CharField(max_length=VISITOR_LENGTH, unique=True)
    arm = models.ForeignKey(Arm, null=True, on_delete=models.CASCADE, db_index=False, related_name="+")
    epoch = models.PositiveIntegerField()
    share = models.FloatField()  # the arm's among new visitors when the visitor was assigned: the propensity
    assigned_at = models.DateTimeField(db_index=True)
    exposed_at = models.DateTimeField(null=True)  # set once, in the transaction that counts the exposure

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["experiment", "digest"], name="one_visitor_per_targeting_key"),
        ]

    def __str__(self) -> str:
        return f"{self.visitor} in epoch {self.epoch}"


class RefusedRecord(models.Model):
    """A journal record that could not be counted, kept for a person to read; it never stops those behind it."""

    journal = models.CharField(max_length=32)
    record = models.TextField()
    reason = models.CharField(max_length=200)
    refused_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.reason


class APIToken(models.Model):
    """Lets a program act as a user. Only a digest is kept: the token itself is shown once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return f"token of {self.user}"


class ShareLink(models.Model):
    """A revocable link to one report, readable without a login. The link itself is signed, not stored."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="share_links")
    name = models.CharField(max_length=80, blank=True, default="", help_text="Who it is for, such as the board.")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, editable=False)  # to ten minutes: reading must not mean writing

    def __str__(self) -> str:
        return self.name or f"report link of {self.created_at:%Y-%m-%d}"


class Breakdown(models.Model):
    """An experiment's counts by where its visitors came from, as last computed from the rows; see breakdown.py."""

    experiment = models.OneToOneField(Experiment, on_delete=models.CASCADE, related_name="breakdown")
    made_at = models.DateTimeField()
    took_seconds = models.FloatField()
    parts = models.JSONField()  # what Breakdown of breakdown.py holds

    def __str__(self) -> str:
        return f"breakdown of {self.made_at:%Y-%m-%d %H:%M}"


class Destination(models.Model):
    """Where notifications go: for one experiment, or for all of the house."""

    class Kind(models.TextChoices):
        EMAIL = "email", "E-mail"
        SLACK = "slack", "Slack, or what takes the same messages"
        WEBHOOK = "webhook", "A program of yours (signed webhook)"

    experiment = models.ForeignKey(Experiment, null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=7, choices=Kind.choices)
    address = models.CharField(max_length=2000)
    topics = models.JSONField(default=list)  # of Notice.Topic: what it is told of
    secret = models.CharField(max_length=100, blank=True, editable=False)  # of webhooks, which verify with it
    # The one before, and until when messages are signed with both: time to change it at the other end.
    old_secret = models.CharField(max_length=100, blank=True, editable=False)
    old_secret_until = models.DateTimeField(null=True, editable=False)
    is_on = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, editable=False)  # None once something arrives
    last_error = models.CharField(max_length=200, blank=True, editable=False)
    switched_off_at = models.DateTimeField(null=True, editable=False)  # by Greenhouse, because nothing arrived
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, {self.address[:60]}"


class Notice(models.Model):
    """Something people should know of, told once for each cause: while it lasts, nothing more is said of it."""

    class Topic(models.TextChoices):
        DECISION = "decision", "Something waits for a decision"
        WINNER = "winner", "A variant is better"
        UNHEALTHY = "unhealthy", "Something is wrong"
        BUDGET = "budget", "A budget is spent"
        SCHEDULE = "schedule", "A planned start or end"
        DIGEST = "digest", "The week in short"
        TEST = "test", "A test"

    experiment = models.ForeignKey(Experiment, null=True, on_delete=models.CASCADE, related_name="notices")
    topic = models.CharField(max_length=9, choices=Topic.choices)
    cause = models.CharField(max_length=100)  # such as "no visitors"; with the experiment it says what it is about
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)  # when the cause was gone

    class Meta:
        ordering: ClassVar = ["pk"]
        constraints: ClassVar = [
            # 0, because to a database no null is like another: the house could have the same notice twice.
            models.UniqueConstraint(
                Coalesce("experiment", 0),
                "cause",
                condition=models.Q(ended_at__isnull=True),
                name="one_open_notice_per_cause",
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Delivery(models.Model):
    """One notice on its way to one destination: written with its cause, sent until it arrives or is given up."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        GIVEN_UP = "given up"

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="deliveries")
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="deliveries")
    # The same at each attempt, so that whoever gets it twice can tell.
    message_id = models.CharField(max_length=40, unique=True)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["notice", "destination"], name="one_delivery_per_destination"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["next_at"], condition=models.Q(status="waiting"), name="deliveries_that_are_due"),
        ]

    def __str__(self) -> str:
        return f"{self.notice} to {self.destination}"
