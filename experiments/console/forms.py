"""An experiment's settings in a marketer's words: percentages, policies as sentences, a goal that fits the brief."""

from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminRadioSelectWidget,
    UnfoldAdminSelectWidget,
)

from experiments.models import Experiment, Goal
from variants.models import Brief

POLICIES = [
    (Experiment.Policy.EARN, "Earn: send most visitors to what converts best, early. For campaigns with an end."),
    (Experiment.Policy.LEARN, "Learn: spend more visitors on being sure which variant is best. For lasting pages."),
    (Experiment.Policy.QUICK, "Learn quickly: spend still more of them, for an answer some days sooner."),
    (Experiment.Policy.EQUAL, "Equal: show every variant equally often. The classic A/B test."),
]
PERCENT = 100
MOST_VISITORS_PER_DAY = 100_000_000
MOST_DAYS = 3_650
MOST_WORTH = 1_000_000
MOST_HOURS = 8_760  # a year


class PercentField(forms.DecimalField):
    """A fraction that people read and write as a percentage."""

    def __init__(self, *, least: float, most: float, **kwargs: Any) -> None:
        super().__init__(
            widget=UnfoldAdminDecimalFieldWidget({"step": "any", "class": "gh-percent"}),
            validators=[  # Django formats these messages, hence the two signs
                MinValueValidator(least, f"Write at least {least * PERCENT:g}%%."),
                MaxValueValidator(most, f"Write at most {most * PERCENT:g}%%."),
            ],
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        return f"{value * PERCENT:g}" if isinstance(value, float) else value

    def to_python(self, value: Any) -> Any:
        percent = super().to_python(str(value).strip().removesuffix("%") if value is not None else value)
        return None if percent is None else percent / Decimal(PERCENT)

    def clean(self, value: Any) -> float:
        return float(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class WholeField(forms.IntegerField):
    """A whole number whose limits are said in words."""

    def __init__(self, *, most: int, unit: str, **kwargs: Any) -> None:
        limits = f"Write a number from 1 to {most:,} {unit}"
        words = f"{limits}." if kwargs.get("required", True) else f"{limits}, or leave it empty."
        super().__init__(
            min_value=1,
            max_value=most,
            widget=UnfoldAdminIntegerFieldWidget,
            error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), words),
            **kwargs,
        )


class ExperimentForm(forms.ModelForm[Experiment]):
    brief = forms.ModelChoiceField(
        queryset=Brief.objects.order_by("-pk"),
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
        help_text="What the variants will be written from. It cannot be changed later; its words can.",
    )
    policy = forms.ChoiceField(
        choices=POLICIES,
        initial=Experiment.Policy.EARN,
        widget=UnfoldAdminRadioSelectWidget(radio_style=2),
        help_text="If you are unsure, take Earn.",
    )
    control_share = PercentField(
        least=0,
        most=0.9,
        initial=0.1,
        label="Always see the control (%)",
        help_text="Out of 100 new visitors, how many always see today’s page (control). It keeps the comparison "
        "honest; 10 is a good start.",
    )
    traffic_share = PercentField(
        least=0.001,
        most=1,
        initial=1.0,
        label="Visitors who take part (%)",
        help_text="Out of 100 visitors, how many take part at all. The others see today’s page and are not counted.",
    )
    visitors_per_day = WholeField(
        most=MOST_VISITORS_PER_DAY,
        unit="visitors",
        required=False,
        label="Visitors a day",
        help_text="About how many people visit this page a day. Leave it empty if you cannot say: "
        "then all variants go live.",
    )
    planned_days = WholeField(most=MOST_DAYS, unit="days", initial=14, label="Days it is planned to run")

    class Meta:
        model = Experiment
        fields = (
            "name", "slug", "policy", "control_share", "traffic_share", "visitors_per_day", "planned_days",
            "has_arm_budget", "consent_required", "confirm_exposures", "currency",
        )  # fmt: skip
        labels: ClassVar = {
            "slug": "Address of the page",
            "has_arm_budget": "Show only as many variants at once as the traffic can tell apart",
            "consent_required": "Ask for consent first",
            "confirm_exposures": "Count a visitor only after the page has run in a browser",
        }
        help_texts: ClassVar = {
            "slug": "The last part of its address: <em>spring-offer</em> becomes …/p/spring-offer/. "
            "Small letters, digits and hyphens. It cannot be changed after the start.",
            "has_arm_budget": "The other approved variants wait their turn. Needs the number of visitors a day.",
            "consent_required": "Nobody is counted or remembered before they have agreed on the page. A small bar "
            "asks them; who agrees takes part from their next visit.",
            "confirm_exposures": "Programs that pose as browsers load pages without running them; this leaves them "
            "out. It also leaves out people whose browser runs no scripts, and whatever they do.",
            "currency": "For goals that are purchases: what their values are counted in, such as EUR.",
        }
        error_messages: ClassVar = {
            "slug": {"unique": "Another experiment has this address. Choose another one."},
        }


def default_goal(experiment: Experiment) -> Goal:
    """Return the goal that fits what the brief asks visitors to do."""
    brief = experiment.nursery.brief
    is_form = brief.call_to_action_kind == Brief.CallToActionKind.FORM
    return Goal(
        experiment=experiment,
        key="signup" if is_form else "click",
        kind=Goal.Kind.FORM if is_form else Goal.Kind.CLICK,
        is_primary=True,
    )


class GoalForm(forms.ModelForm[Goal]):
    link = forms.ChoiceField(
        choices=[("cta", "the main button"), ("more", "the second link")],
        initial="cta",
        required=False,
        widget=UnfoldAdminSelectWidget,
        label="For clicks: on",
    )
    window_hours = WholeField(most=MOST_HOURS, unit="hours", initial=168, label="Counts for (hours)")
    weight = forms.FloatField(
        min_value=0,
        max_value=MOST_WORTH,
        initial=0,
        required=False,
        widget=UnfoldAdminDecimalFieldWidget,
        label="Worth",
    )

    class Meta:
        model = Goal
        fields = ("key", "kind", "link", "window_hours", "weight", "guard", "is_primary")
        labels: ClassVar = {
            "key": "Name", "kind": "A visitor …", "guard": "Stop a page if it", "is_primary": "Decides",
        }  # fmt: skip
        help_texts: ClassVar = {"key": "", "guard": "", "is_primary": ""}

    def validate_constraints(self) -> None:
        """Leave it to the formset, which sees all goals at once and says it in words."""

    def clean_link(self) -> str:
        return self.cleaned_data["link"] or "cta"

    def clean_weight(self) -> float:
        return self.cleaned_data["weight"] or 0.0


class GoalFormSet(forms.BaseInlineFormSet):  # type: ignore[type-arg]  # generic only for the type checker
    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        for field in form.fields.values():
            # Heads of columns are for the eye alone: Unfold ties none of them to a field.
            field.widget.attrs["aria-label"] = str(field.label or "")

    def clean(self) -> None:
        super().clean()
        kept = [form.cleaned_data for form in self.forms if form.is_valid() and form.cleaned_data]
        kept = [goal for goal in kept if not goal.get("DELETE")]
        if kept and sum(bool(goal.get("is_primary")) for goal in kept) != 1:
            raise forms.ValidationError("Tick “Decides” for exactly one goal: the one variants are compared by.")

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        chosen = [form.instance.pk for form in self.forms if form.cleaned_data.get("is_primary")]
        if chosen:
            # In this order: the database allows one deciding goal at a time, also while rows are saved one by one.
            self.instance.goals.filter(is_primary=True).exclude(pk=chosen[0]).update(is_primary=False)
        return super().save(commit)
