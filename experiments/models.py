"""What is kept of experiments: who may see what, what happened, and what was decided on which evidence."""

import secrets
from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
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
    outlook = models.JSONField(null=True, editable=False)  # how long still, as last simulated; see outlook.py
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        permissions: ClassVar = [("start_experiment", "Can start, pause, stop and promote experiments")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(control_share__gte=0, control_share__lte=0.9), name="control_share_in_range"
            ),
            models.CheckConstraint(
                condition=models.Q(traffic_share__gt=0, traffic_share__lte=1), name="traffic_share_in_range"
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
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, editable=False, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"report link of {self.created_at:%Y-%m-%d}"
