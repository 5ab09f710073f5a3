"""Why, health, money and gain: what a report says beside its arms."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.utils import timezone
from openpyxl import load_workbook

from experiments import belief, evidence, inference
from experiments.evidence import Evidence
from experiments.models import EXPOSURES, EpochCount, Experiment, Goal, RefusedRecord, Tally
from experiments.reporting import gained, why, workbook
from experiments.reporting.report import build
from experiments.reporting.sections import health_of, money_of, segment_tables
from experiments.reporting.values import OptionReport
from tests.experiments.reporting.made import START, make_arm, make_counted, make_reasoned, make_report
from tests.factories import make_running, page, there
from variants.models import Generation, ModelCall, Variant

pytestmark = pytest.mark.django_db


def make_known(seed: int = 1, strata: int = 40, arms: int = 3) -> Evidence:
    """Return counts of moving shares."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet(np.ones(arms) * 3, strata)
    exposures = np.array([random.multinomial(500, row) for row in shares], dtype=float)
    conversions = random.binomial(exposures.astype(int), 0.03 + 0.01 * np.arange(arms)).astype(float)
    experiment = make_running(arms=arms)
    zeros = np.zeros_like(exposures)
    return Evidence(
        arms=list(experiment.arms.select_related("variant")),
        strata=[(epoch, int(START.timestamp()) + 3600 * epoch) for epoch in range(strata)],
        exposures=exposures,
        conversions=conversions,
        values=zeros,
        value_squares=zeros,
        shares=shares,
    )


def test_what_was_gained_ends_where_the_replay_of_all_counts_ends():
    known = make_known()
    last = gained.gained(known, {}, START + timedelta(days=30))[-1]
    replayed = inference.replay(known.exposures, known.conversions, known.shares)
    assert last.gained == pytest.approx(replayed.earned - replayed.equal)
    assert last.interval == pytest.approx((replayed.earned - replayed.high, replayed.earned - replayed.low))


def test_epochs_of_one_hour_are_told_apart_by_when_they_ended():
    known = make_known(strata=6)
    known = replace(known, strata=[(epoch, int(START.timestamp())) for epoch in range(1, 7)])
    closed = {epoch: START + timedelta(minutes=5 * epoch) for epoch in range(1, 6)}
    told = gained.gained(known, closed, START + timedelta(minutes=29))
    times = [gain.at for gain in told]
    assert times == sorted(set(times))
    assert times[-2:] == [START + timedelta(minutes=25), START + timedelta(minutes=29)]


def test_a_clock_that_is_set_back_does_not_turn_the_drawing_back():
    known = make_known(strata=6)
    known = replace(known, strata=[(epoch, int(START.timestamp())) for epoch in range(1, 7)])
    closed = {epoch: START + timedelta(minutes=late) for epoch, late in enumerate((5, 10, 15, 12, 17), start=1)}
    times = [gain.at for gain in gained.gained(known, closed, START + timedelta(minutes=29))]
    assert times == sorted(times)


def test_nothing_is_gained_before_enough_has_converted_or_with_one_page():
    known = make_known()
    assert len(gained.gained(known, {}, START + timedelta(days=30))) < len(known.strata) + 1
    assert gained.gained(make_known(strata=1, arms=2), {}, START)[:0] == []
    assert not gained.gained(make_known(arms=1), {}, START + timedelta(days=30))


def test_what_today_s_page_alone_would_have_brought_is_its_own_rate_for_everybody():
    known = make_known(strata=200)
    found = gained.imagine(known, gained.control_alone(known))
    rate = known.conversions[:, known.control].sum() / known.exposures[:, known.control].sum()
    assert found.instead[-1] == pytest.approx(known.exposures.sum() * rate, rel=0.1)


# --- Genes -------------------------------------------------------------------------------------------------------


def make_of_layouts(lift: float) -> Experiment:
    """Return twelve pages with many visitors, of which those of one layout convert better."""
    rates = [0.05 * (1 + lift * (number % 2)) for number in range(12)]
    experiment = make_counted([(40_000, round(40_000 * rate)) for rate in rates])
    variants = list(experiment.nursery.variants.order_by("number"))
    for place, variant in enumerate(variants):
        variant.content = page(f"Headline {place}", layout=["split", "ledger"][place % 2])
    Variant.objects.bulk_update(variants, ["content"])
    return experiment


def slots_of(experiment: Experiment) -> dict[str, dict[str, OptionReport]]:
    known = evidence.gather(experiment, evidence.entered_arms(experiment))
    found = why.slots(belief.of(experiment, known, timezone.now()))
    return {slot.slot: {option.option: option for option in slot.options} for slot in found}


def test_an_option_that_converts_better_is_said_to_by_about_as_much_and_for_sure():
    options = slots_of(make_of_layouts(0.3))["layout"]
    better, worse = options["ledger"], options["split"]
    assert 1.2 < (1 + better.effect) / (1 + worse.effect) < 1.35
    assert better.interval[0] > 0 > worse.interval[1]


def test_where_options_do_not_matter_none_is_said_to():
    for option in slots_of(make_of_layouts(0.0))["layout"].values():
        assert option.interval[0] < 0 < option.interval[1]


def test_what_only_one_page_has_is_no_gene_s_doing():
    found = slots_of(make_of_layouts(0.3))
    assert "headline" not in found  # every page has its own
    assert "palette" not in found  # all have the same


def test_of_two_pages_nothing_is_said_of_genes():
    assert slots_of(make_counted([(1000, 30), (1000, 50)])) == {}


# --- Segments ----------------------------------------------------------------------------------------------------


def test_segments_are_compared_where_there_are_enough_and_warned_of_where_not():
    report = build(make_reasoned())
    devices = next(found for found in there(report.breakdown).dimensions if found.key == "device")
    phone = next(segment for segment in devices.segments if segment.value == "phone")
    assert (phone.exposures, phone.is_thin) == (7 * 300, False)
    low, high = there(phone.lift_interval)
    assert low < there(phone.lift) < high
    countries = next(found for found in there(report.breakdown).dimensions if found.key == "country")
    assert all(segment.is_thin == (segment.lift is None) for segment in countries.segments)
    assert "one in twenty looks different by chance" in there(report.breakdown).text


def test_numbers_that_cannot_be_trusted_compare_nothing():
    experiment = make_reasoned()
    Experiment.objects.filter(pk=experiment.pk).update(frozen_at=timezone.now())
    experiment.refresh_from_db()
    report = build(experiment)
    assert report.verdict.state == "cannot_be_trusted"
    assert not report.slots
    assert not report.gained
    assert there(report.money).extra is None
    assert all(segment.lift is None for found in there(report.breakdown).dimensions for segment in found.segments)


def test_a_language_has_its_name_and_what_is_not_known_says_so():
    tables = {table.key: table for table in segment_tables(build(make_reasoned()))}
    assert "Not known" in {row.label for row in tables["country"].rows}


# --- Health ------------------------------------------------------------------------------------------------------


def test_health_tells_robots_late_conversions_and_what_could_not_be_counted():
    experiment = make_reasoned()
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for kind, at, number in (("bot", hour, 5), ("bot", hour - timedelta(days=3), 7), ("late", hour, 2)):
        Tally.objects.create(experiment=experiment, kind=kind, hour=at, count=number)
    RefusedRecord.objects.create(journal="j", record=f"Conversion(experiment={experiment.pk}, …)", reason="?")
    RefusedRecord.objects.create(journal="j", record=f"Conversion(experiment={experiment.pk}9, …)", reason="?")
    health = there(build(experiment).health)
    assert (health.bots, health.bots_today, health.late, health.refused) == (12, 5, 2, 1)
    told = {key: much for key, _, much in health_of(health, 100).facts}
    assert told["consent"] == "not asked for on this page"
    assert told["bots"].startswith("12, 11% of what came")


def test_a_day_whose_visitors_did_not_arrive_as_sent_is_named_with_the_page():
    experiment = make_running(arms=2)
    control, other = experiment.arms.order_by("variant__number")
    for day, shown in ((1, (5000, 5000)), (2, (4000, 6000))):
        at = datetime(2030, 5, day, 12, tzinfo=UTC)
        for arm, number in zip((control, other), shown, strict=True):
            EpochCount.objects.create(arm=arm, epoch=1, hour=at, measure=EXPOSURES, count=number)
    newest, first = there(build(experiment).health).splits
    assert (newest.ok, first.ok) == (False, True)
    assert (newest.expected, newest.exposures) == (5000, 10_000)


# --- Money -------------------------------------------------------------------------------------------------------


def spend(experiment: Experiment, micro_usd: int) -> None:
    asked = Generation.objects.create(nursery=experiment.nursery, requested=1)
    ModelCall.objects.create(
        generation=asked, purpose="page", outcome="used", model="m", prompt_version="1", cost_micro_usd=micro_usd
    )


def test_an_extra_conversion_costs_what_the_pages_cost_divided_by_the_extra():
    experiment = make_counted([(10_000, 300), (10_000, 600)])
    spend(experiment, 6_000_000)
    money = there(build(experiment).money)
    assert money.extra == pytest.approx(300)
    assert money.usd_per_extra == pytest.approx(0.02)
    low, high = there(money.usd_per_extra_interval)
    assert low < 0.02 < high
    assert "$0.02 for each of them" in money.text


@pytest.mark.parametrize("counts", [[(100, 3), (100, 5)], [(3000, 90), (3000, 92)]])
def test_while_there_may_be_no_extra_it_is_too_early_for_a_price(counts):
    experiment = make_counted(counts)
    spend(experiment, 6_000_000)
    money = there(build(experiment).money)
    assert money.usd_per_extra is None
    assert "too early" in money.text


def test_a_visitor_of_a_revenue_goal_is_worth_the_orders_divided_by_visitors():
    experiment = make_counted([(1000, 20), (1000, 40)], goal_kind=Goal.Kind.REVENUE, currency="EUR")
    EpochCount.objects.filter(measure="signup").update(value=2000.0, value_squares=200_000.0)
    report = build(experiment)
    values = {value.arm: value for value in there(report.money).values}
    assert (values["control"].per_visitor, values["control"].per_order) == (2.0, 100.0)
    low, high = there(values["control"].interval)
    assert low < 2.0 < high
    assert money_of(there(report.money), control="control", leader="").values[0].per_visitor == "2.00 EUR"


# --- In the workbook ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "plain", "a\x00b"])
def test_a_page_named_like_a_formula_is_text_in_a_workbook(name):
    book = load_workbook(io.BytesIO(workbook.report_xlsx(make_report([make_arm(name=name)]))))
    head, row = book["Pages"].iter_rows()
    cell = row[[one.value for one in head].index("Page")]
    assert cell.data_type == "s"
    assert cell.quotePrefix
    assert cell.value == name.replace("\x00", "\ufffd")
