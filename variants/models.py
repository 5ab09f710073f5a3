"""What is kept of brands, briefs and the variants grown from them. Knows nothing of experiments."""

from decimal import Decimal
from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from variants.brief import BriefSpec
from variants.content import PageContent, stored_genes
from variants.directions import DirectionSpec
from variants.patches import PatchContent, genes_of, is_patch

MICRO_USD = Decimal(1_000_000)  # money is kept in whole millionths of a dollar: sums are exact on every database
MOST_VARIANTS_PER_GENERATION = 500

hex_colour = RegexValidator(r"^#[0-9a-fA-F]{6}\Z", "Give the colour as # and six hexadecimal digits, such as #0b6e4f.")


class Brand(models.Model):
    """Who speaks on a page."""

    name = models.CharField(max_length=80)
    voice = models.CharField(max_length=200, blank=True, help_text="How the brand sounds, in a few words.")
    primary_colour = models.CharField(max_length=7, default="#0b6e4f", validators=[hex_colour])
    accent_colour = models.CharField(max_length=7, default="#f2a541", validators=[hex_colour])
    legal_footer = models.CharField(max_length=400, blank=True, help_text="Shown at the foot of every page.")
    privacy_url = models.URLField(blank=True, help_text="Where your privacy policy stands.")
    logo = models.ForeignKey("variants.Image", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    four_eyes = models.BooleanField(
        "four eyes",
        default=False,
        help_text="Whoever wrote or last changed a page must not approve it, nor start an experiment they set up.",
    )

    def __str__(self) -> str:
        return self.name

    @property
    def asks_four_eyes(self) -> bool:
        """Whether two people have to agree on what goes live: this brand says so, or the house does for all."""
        return self.four_eyes or bool(settings.FOUR_EYES)


class Lesson(models.Model):
    """What an experiment taught about a brand’s pages: carried into its next ones, where the writer is told of it."""

    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="lessons")
    text = models.CharField(max_length=400, help_text="What was learnt, in a sentence, with its numbers.")
    source = models.CharField(max_length=160, blank=True, help_text="Where it was learnt.")
    is_used = models.BooleanField(default=True, help_text="Tell the writer of new pages.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["brand", "text"], name="lesson_once_per_brand"),
        ]

    def __str__(self) -> str:
        return self.text


class Image(models.Model):
    """An uploaded picture, re-encoded on arrival and served under the hash of its bytes."""

    brand = models.ForeignKey(Brand, on_delete=models.CASCADE, related_name="images")
    name = models.CharField(max_length=60, help_text="What pages call it, such as: app on a phone.")
    alt = models.CharField(max_length=200, help_text="What it shows, for people who cannot see it.")
    sha256 = models.CharField(max_length=64, editable=False)
    content_type = models.CharField(max_length=40, editable=False)
    width = models.PositiveIntegerField(editable=False)
    height = models.PositiveIntegerField(editable=False)
    data = models.BinaryField(editable=False)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["brand", "name"], name="image_name_once_per_brand"),
        ]

    def __str__(self) -> str:
        return self.name


class Brief(models.Model):
    """What a marketer asks for. `spec()` is its validated form; nothing else reads the columns for meaning."""

    class CallToActionKind(models.TextChoices):
        FORM = "form", "fill in the form on the page"
        LINK = "link", "follow a link"

    brand = models.ForeignKey(Brand, on_delete=models.PROTECT, related_name="briefs")
    name = models.CharField(max_length=120)
    product = models.TextField(max_length=2000, help_text="What it is, in plain words.")
    audience = models.TextField(max_length=1000, help_text="Who should read the page, and what they worry about.")
    offer = models.TextField(max_length=1000, help_text="What the visitor gets for acting.")
    facts = models.JSONField(default=list, blank=True)
    angles = models.JSONField(default=list, blank=True)
    must_say = models.JSONField(default=list, blank=True)
    never_say = models.JSONField(default=list, blank=True)
    tone = models.CharField(max_length=200, default="clear and friendly")
    language = models.CharField(max_length=20, default="en")
    call_to_action_label = models.CharField(max_length=40)
    call_to_action_kind = models.CharField(
        max_length=4, choices=CallToActionKind.choices, default=CallToActionKind.FORM
    )
    call_to_action_url = models.CharField(max_length=2000, blank=True)
    secondary_link = models.JSONField(null=True, blank=True)
    form_fields = models.JSONField(default=list, blank=True)
    thank_you = models.TextField(max_length=600, default="Thank you. We will be in touch shortly.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return self.name

    def spec(self) -> BriefSpec:
        """Return the brief as validated data; pydantic's ValidationError names what is wrong."""
        copied = ("name", "product", "audience", "offer", "facts", "angles", "must_say", "never_say", "tone",
                  "language", "secondary_link", "thank_you")  # fmt: skip
        call_to_action = {
            "label": self.call_to_action_label,
            "kind": self.call_to_action_kind,
            "url": self.call_to_action_url or None,
        }
        fields = {"form_fields": self.form_fields} if self.form_fields else {}
        values = {name: getattr(self, name) for name in copied}
        return BriefSpec.model_validate({**values, **fields, "call_to_action": call_to_action})

    def take(self, spec: BriefSpec) -> None:
        """Set the columns from `spec`; the caller saves."""
        values = spec.model_dump(mode="json")
        call_to_action = values.pop("call_to_action")
        for name, value in values.items():
            setattr(self, name, value)
        self.call_to_action_label = call_to_action["label"]
        self.call_to_action_kind = call_to_action["kind"]
        self.call_to_action_url = call_to_action["url"] or ""


class BriefDraft(models.Model):
    """A brief that is still being written: what its form holds, whether or not that makes sense yet."""

    # The brief that it changes; without one it becomes a new brief, and an experiment that grows from it.
    brief = models.OneToOneField(Brief, null=True, on_delete=models.CASCADE, related_name="draft")
    values = models.JSONField(default=dict)  # {name of a field of the form: what was typed}
    typed_by = models.JSONField(default=list, editable=False)  # primary keys of all who typed in it
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    saved_at = models.DateTimeField(default=timezone.now, editable=False)

    def __str__(self) -> str:
        return str(self.values.get("name") or "A brief without a name yet")


class Nursery(models.Model):
    """The variants grown for one purpose from one brief, whether they are live or wait their turn."""

    brief = models.ForeignKey(Brief, on_delete=models.PROTECT, related_name="nurseries")
    # What all its generations together may cost, and what of that is spent or set aside is in ModelCall.
    budget_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    # What breeding may spend of that in a day (UTC).
    breeding_micro_usd_per_day = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "nurseries"

    def __str__(self) -> str:
        return f"nursery {self.pk} of {self.brief}"

    def next_direction(self) -> int:
        """Return the number of the next direction: they take turns in the order in which they came."""
        last: int | None = self.directions.aggregate(last=models.Max("number"))["last"]
        return (last or 0) + 1


class Direction(models.Model):
    """A direction that pages of a nursery take: proposed by a writer, or put in by a person, who may change it."""

    class Origin(models.TextChoices):
        MODEL = "model", "proposed by the language model"
        OFFLINE = "offline", "taken from the brief"
        HAND = "hand", "written by hand"

    class Weight(models.IntegerChoices):
        NORMAL = 1, "as many pages as the others"
        MORE = 2, "twice as many pages"
        MOST = 4, "four times as many pages"

    nursery = models.ForeignKey(Nursery, on_delete=models.CASCADE, related_name="directions")
    number = models.PositiveIntegerField()  # 1, 2, 3 …: the order in which they take turns
    angle = models.CharField(max_length=120)
    insight = models.CharField(max_length=240, blank=True)
    promise = models.CharField(max_length=240, blank=True)
    proof = models.CharField(max_length=240, blank=True)
    objection = models.CharField(max_length=240, blank=True)
    weight = models.PositiveSmallIntegerField(choices=Weight.choices, default=Weight.NORMAL)
    is_struck = models.BooleanField(default=False)
    origin = models.CharField(max_length=7, choices=Origin.choices, default=Origin.HAND)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["number", "pk"]

    def __str__(self) -> str:
        return self.angle

    def spec(self) -> DirectionSpec:
        """Return the direction as validated data."""
        return DirectionSpec.model_validate({name: getattr(self, name) for name in DirectionSpec.model_fields})


class Generation(models.Model):
    """One request for variants: what was asked, what came of it, what it cost. `requested` 0 asks for a plan alone."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        FINISHED = "finished"
        FAILED = "failed"
        CANCELLED = "cancelled"

    nursery = models.ForeignKey(Nursery, on_delete=models.CASCADE, related_name="generations")
    status = models.CharField(max_length=9, choices=Status.choices, default=Status.QUEUED)
    requested = models.PositiveIntegerField(
        validators=[MinValueValidator(0), MaxValueValidator(MOST_VARIANTS_PER_GENERATION)]
    )
    accepted = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    blocked = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    message = models.TextField(blank=True, help_text="What a marketer should know or do, in plain words.")
    model = models.CharField(max_length=100, blank=True)
    prompt_version = models.CharField(max_length=20, blank=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    cost_micro_usd = models.PositiveBigIntegerField(default=0)
    budget_micro_usd = models.PositiveBigIntegerField(null=True, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When the worker that holds this generation last said that it lives; also the proof that it still holds it.
    worked_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"{self.requested} variants, {self.get_status_display()}"

    @property
    def cost_usd(self) -> Decimal:
        return self.cost_micro_usd / MICRO_USD

    @property
    def is_over(self) -> bool:
        return self.status in {self.Status.FINISHED, self.Status.FAILED, self.Status.CANCELLED}

    @property
    def is_coming_in(self) -> bool:
        """Whether it is cancelled and the answers that were asked for before are still awaited."""
        return self.status == self.Status.CANCELLED and self.finished_at is None


class Operator(models.TextChoices):
    """How a variant came from others."""

    CROSSOVER = "crossover", "crossed from other pages"
    MUTATION = "mutation", "one part written anew"
    FRESH = "fresh", "a fresh idea"
    EDIT = "edit", "edited by hand"


class Breeding(models.Model):
    """How a generation was bred: by which operator, from which variants, in which round, and why.

    A round asks for a few children, each in a generation of its own: it has one operator, and its cost is known.
    """

    generation = models.OneToOneField(Generation, on_delete=models.CASCADE, related_name="breeding")
    round = models.PositiveIntegerField()  # 1, 2, 3 … within the nursery
    operator = models.CharField(max_length=9, choices=Operator.choices)
    parents = models.ManyToManyField("variants.Variant", blank=True, related_name="+")
    gene = models.CharField(max_length=40, blank=True)  # the one that a mutation writes anew
    direction = models.ForeignKey(Direction, null=True, on_delete=models.SET_NULL, related_name="+")  # of a fresh idea
    told = models.JSONField(default=dict)  # what had worked and what had not, as the writer is told it
    reason = models.CharField(max_length=300)
    # When its child was approved, or left for a person to look at; None until somebody has seen to it.
    settled_at = models.DateTimeField(null=True, editable=False)

    def __str__(self) -> str:
        return f"{self.get_operator_display()}, round {self.round}"


class ModelCall(models.Model):
    """One request to the language model: what it was for and what it cost. The ledger that budgets are held by.

    While it is under way, `cost_micro_usd` is the most that it can cost: what is set aside and what is spent are one
    sum. When its bill is never known it stays at that, so a budget holds whatever happens.
    """

    class Purpose(models.TextChoices):
        PLAN = "plan", "propose directions"
        PAGE = "page", "write a page"
        REPAIR = "repair", "put a page right"
        COMPARE = "embed", "compare a page with the others"

    class Outcome(models.TextChoices):
        UNDER_WAY = "under way"
        USED = "used", "answered"
        UNUSABLE = "unusable", "answered, and could not be used"
        REFUSED = "refused", "declined"
        FAILED = "failed", "not answered"
        LOST = "lost", "cut off; counted as if it cost the most it can"

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="calls")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    purpose = models.CharField(max_length=6, choices=Purpose.choices)
    outcome = models.CharField(max_length=9, choices=Outcome.choices, default=Outcome.UNDER_WAY)
    model = models.CharField(max_length=100)
    prompt_version = models.CharField(max_length=20)
    prompt_tokens = models.PositiveIntegerField(default=0)
    completion_tokens = models.PositiveIntegerField(default=0)
    cost_micro_usd = models.PositiveBigIntegerField()
    asked_at = models.DateTimeField(default=timezone.now, editable=False)
    ended_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["user", "asked_at"], name="calls_of_a_user_and_day"),  # the daily limit
        ]

    def __str__(self) -> str:
        return f"{self.purpose}, {self.outcome}"

    @property
    def cost_usd(self) -> Decimal:
        return self.cost_micro_usd / MICRO_USD


class ImportedPage(models.Model):
    """A page from elsewhere that stands for today's page; its variants are patches. What it says never changes."""

    nursery = models.ForeignKey(Nursery, on_delete=models.CASCADE, related_name="imported_pages")
    address = models.CharField(max_length=2000, blank=True)  # where it came from; empty if nobody said
    source = models.BinaryField()  # as it is served, in UTF-8; without its scripts unless `keeps_scripts`
    outline = models.JSONField()  # outline.py's Outline of `source`: ids and places stay, whatever a later reader finds
    keeps_scripts = models.BooleanField(default=False)
    allows_others = models.BooleanField(default=False)  # may load from other sites than the one it came from
    remarks = models.JSONField(default=list)  # what its importer should know, in words
    goals = models.JSONField(default=dict)  # {id of a link, button or form: key of the goal that it reaches}
    imported_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    imported_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        permissions: ClassVar = [("import_scripts", "Can import pages with their own scripts")]

    def __str__(self) -> str:
        return self.address or f"imported page {self.pk}"


class Variant(models.Model):
    """One version of a page's content."""

    class Status(models.TextChoices):
        DRAFT = "draft"
        APPROVED = "approved"
        REJECTED = "rejected"

    class Origin(models.TextChoices):
        MODEL = "model", "language model"
        OFFLINE = "offline", "offline twin (formulas, not a model)"
        HAND = "hand", "written by hand"
        IMPORT = "import", "imported page"

    nursery = models.ForeignKey(Nursery, on_delete=models.CASCADE, related_name="variants")
    number = models.PositiveIntegerField(editable=False)  # 1, 2, 3 … within the nursery; never reused
    name = models.CharField(max_length=120)
    content = models.JSONField()
    is_control = models.BooleanField(default=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.DRAFT)
    origin = models.CharField(max_length=8, choices=Origin.choices, default=Origin.HAND)
    generation = models.ForeignKey(
        Generation, null=True, blank=True, on_delete=models.SET_NULL, related_name="variants"
    )
    direction = models.ForeignKey(Direction, null=True, blank=True, on_delete=models.SET_NULL, related_name="variants")
    model = models.CharField(max_length=100, blank=True)  # what wrote it, as the server names it
    prompt_version = models.CharField(max_length=20, blank=True)
    parents = models.ManyToManyField("self", symmetrical=False, blank=True, related_name="children")
    operator = models.CharField(max_length=9, choices=Operator.choices, blank=True, default="", editable=False)
    findings = models.JSONField(default=list, blank=True)
    # The claims ledger: gates.Trace as JSON, one for each figure, promise, name … and what in the brief covers it.
    traces = models.JSONField(default=list, blank=True)
    # What blocks it by its brief, in its own words, and of which state of brief and brand that is true; both are
    # review.judge's. Empty where it fits, and where nobody has held it against any state yet.
    misfit = models.CharField(max_length=200, default="", editable=False)
    held_against = models.CharField(max_length=32, default="", editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    # Primary keys of others whose words stand in it: who changed it before, and the authors of what it was copied from.
    earlier_authors = models.JSONField(default=list, editable=False)
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reviewed_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["number"]
        permissions: ClassVar = [("approve_variant", "Can approve or reject variants")]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["nursery", "number"], name="variant_number_once_per_nursery"),
            models.UniqueConstraint(
                fields=["nursery"], condition=models.Q(is_control=True), name="one_control_per_nursery"
            ),
        ]
        indexes: ClassVar = [
            # Among many thousands the console's first page looks for the few.
            models.Index(fields=["nursery"], condition=~models.Q(misfit=""), name="variants_that_do_not_fit"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def page(self) -> PageContent:
        """The content as a typed value; what is stored was validated when it was saved."""
        return PageContent.model_validate(self.content)

    @property
    def patch(self) -> PatchContent | None:
        """The content of a variant of an imported page; None for others."""
        return PatchContent.model_validate(self.content) if is_patch(self.content) else None

    @property
    def typed(self) -> PageContent | PatchContent:
        """The content as a typed value, whichever kind it is."""
        return self.patch or self.page

    @property
    def genes(self) -> dict[str, str]:
        patch = self.patch
        return stored_genes(self.content) if patch is None else genes_of(patch)


class PageCheck(models.Model):
    """What looking at a variant's page as visitors get it found, and of which page that is true."""

    class Outcome(models.TextChoices):
        UNDER_WAY = "under way", "is being looked at"
        BROWSER = "browser", "looked at in a browser"
        BYTES = "bytes", "looked at without a browser"
        FAILED = "failed", "could not be looked at"

    variant = models.OneToOneField(Variant, on_delete=models.CASCADE, related_name="page_check")
    outcome = models.CharField(max_length=9, choices=Outcome.choices, default=Outcome.UNDER_WAY)
    sha256 = models.CharField(max_length=64, blank=True)  # of all that the outcome is true of: pages, links, goals
    tries = models.PositiveSmallIntegerField(default=0)  # times a worker took it up without coming to an end
    taken_at = models.DateTimeField()  # when a worker last took it up
    looked_at = models.DateTimeField(null=True)  # when the page was last known to be as the outcome says
    seconds = models.FloatField(default=0.0)  # that the look took

    def __str__(self) -> str:
        return f"{self.variant}: {self.get_outcome_display()}"


class Picture(models.Model):
    """The first screen of a variant's page at one width, as its last look in a browser saw it."""

    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="pictures")
    width = models.PositiveSmallIntegerField()  # pixels
    height = models.PositiveSmallIntegerField()
    sha256 = models.CharField(max_length=64)
    data = models.BinaryField()  # WebP

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["variant", "width"], name="picture_of_a_width_once_per_variant"),
        ]

    def __str__(self) -> str:
        return f"{self.variant} at {self.width} pixels"
