"""Say how many variants a page's traffic affords before any is asked for: a sentence, and a chart."""

from dataclasses import dataclass

from django import forms

from experiments.affordable import Affordable, Choice, affordable
from experiments.console.forms import MOST_DAYS, MOST_VISITORS_PER_DAY, PercentField, WholeField
from experiments.models import Experiment
from experiments.reporting import svg

SHOWN = (2, 4, 8, 16, 32, 64, 100)  # variants: the bars of the chart, beside the number afforded
WIDTH, HEIGHT, HEAD, FOOT = 340.0, 170.0, 24.0, 44.0
GAP = 6.0


class TrafficForm(forms.ModelForm[Experiment]):
    """What is known of the page's traffic."""

    visitors_per_day = WholeField(most=MOST_VISITORS_PER_DAY, unit="visitors")
    usual_rate = PercentField(least=0.0001, most=0.9)
    planned_days = WholeField(most=MOST_DAYS, unit="days")

    class Meta:
        model = Experiment
        fields = ("visitors_per_day", "usual_rate", "planned_days")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    variants: int
    text: str
    chart: str  # SVG


def plan(experiment: Experiment) -> Plan | None:
    """Return how many variants the experiment affords; None until visits a day and the usual rate are known."""
    if experiment.visitors_per_day is None or experiment.usual_rate is None:
        return None
    visitors = experiment.visitors_per_day * experiment.planned_days * experiment.traffic_share
    found = affordable(visitors, experiment.usual_rate)
    text = _sentence(experiment, found)
    return Plan(variants=found.variants, text=text, chart=_chart(found, text))


def _sentence(experiment: Experiment, found: Affordable) -> str:
    most = found.choices[-1]
    traffic = f"{experiment.visitors_per_day:,} visits a day for {experiment.planned_days} days"
    told = f"{traffic} afford about {found.variants} variants."
    if most.right >= 1 / 2:
        return f"{told} With {most.variants}, the one in front would be the best {_times(most)}."
    return f"{told} {most.variants} would stay a coin toss: the one in front would be the best only {_times(most)}."


def _times(choice: Choice) -> str:
    times = round(choice.right * 100)
    return f"{times} times in 100" if times > 1 else "once in 100 times"


def _chart(found: Affordable, text: str) -> str:
    wanted = sorted({*SHOWN, found.variants})
    choices = [choice for choice in found.choices if choice.variants in wanted]
    width = (WIDTH + GAP) / len(choices)
    most = max(choice.gain for choice in choices) or 1.0
    bars = [
        _bar(choice, (place * width, width - GAP), most, is_afforded=choice.variants == found.variants)
        for place, choice in enumerate(choices)
    ]
    listed = ", ".join(f"{choice.variants} variants {choice.gain:+.1%}" for choice in choices)
    return svg.picture(
        *bars,
        svg.words("variants shown", WIDTH / 2, HEIGHT - 4, "gh-soft-word", "middle"),
        name="affordable",
        size=(WIDTH, HEIGHT),
        title="Conversions won by showing so many variants",
        description=f"{text} More conversions than without learning: {listed}.",
        class_="gh-chart",
    )


def _bar(choice: Choice, place: tuple[float, float], most: float, *, is_afforded: bool) -> str:
    left, width = place
    foot = HEIGHT - FOOT
    height = max((foot - HEAD) * choice.gain / most, 1.0)
    middle = left + width / 2
    return svg.tag(
        "g",
        svg.tag("rect", x=left, y=foot - height, width=width, height=height, rx=3, class_="gh-bar-fill"),
        svg.words(f"{choice.gain:+.1%}", middle, foot - height - 6, "", "middle"),
        svg.words(f"{choice.variants}", middle, foot + 18, "", "middle"),
        class_="gh-afforded" if is_afforded else "gh-other",
    )
