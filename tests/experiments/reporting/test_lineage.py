"""Who came from whom, what it earned and what was learnt: as data, as a picture and in words."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from experiments import evolution
from experiments.models import Arm
from experiments.reporting import family, lineage, tree
from experiments.reporting.report import as_json, build
from experiments.reporting.values import CreditReport, Member
from tests.experiments.garden import look_at_children, make_garden
from tests.experiments.reporting.made import make_counted


def member(number, *parents, **changes):
    values: dict[str, Any] = {
        "id": number, "number": number, "key": f"v{number}", "name": f"Page <{number}> & more", "operator": "",
        "round": None, "parents": parents, "changed": (), "direction": "", "reason": "", "model": "",
        "prompt_version": "", "cost_usd": None, "status": "live", "exposures": 0, "conversions": 0, "rate": None,
        "lift": None, "lift_interval": None,
    }  # fmt: skip
    return Member(**(values | changes))


def dynasty(size):
    """Each page from the fifth on has two parents among the five before it."""
    ways = ("crossover", "mutation", "fresh", "edit", "")
    return [
        member(
            number, *((number - 3, number - 5) if number > 5 else ()), operator=ways[number % 5] if number > 5 else ""
        )
        for number in range(1, size + 1)
    ]


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("sheet", [tree.WIDE, tree.NARROW], ids=["wide", "narrow"])
def test_a_tree_of_any_size_is_drawn_inside_its_frame_and_no_two_rows_touch(size, sheet):
    drawn = ET.fromstring(tree.drawing(dynasty(size), sheet))  # noqa: S314 - drawn a moment ago, by us
    _, _, width, height = (float(part) for part in drawn.attrib["viewBox"].split())
    words = [found for found in drawn.iter() if found.tag.endswith("text")]
    assert all(0 <= float(word.attrib["x"]) <= width and 0 <= float(word.attrib["y"]) <= height for word in words)
    names = [float(word.attrib["y"]) for word in words if "name" in word.attrib["class"]]
    assert len(names) == size
    assert all(below - above >= 25 for above, below in pairwise(names))


def test_each_child_stands_below_its_first_parent_and_one_step_to_the_right_of_its_latest():
    rows = {place.member.id: place for place in tree.places(dynasty(40))}
    for place in rows.values():
        for parent in place.member.parents:
            assert place.generation > rows[parent].generation
        if place.member.parents:
            assert place.row > rows[place.member.parents[0]].row


def test_a_name_that_looks_like_markup_stays_a_name():
    assert "<script>" not in tree.drawing([member(1, name="<script>alert(1)</script>")], tree.WIDE)


def test_a_tree_can_be_read_without_colours():
    shapes = {tree.mark(operator).split("<")[2] for operator in ("", "crossover", "mutation", "fresh", "edit")}
    assert len(shapes) == 5
    assert tree.mark("", "live") != tree.mark("", "retired")


def credit(**changes):
    values: dict[str, Any] = {
        "kind": "gene", "name": "split", "slot": "layout", "lift": 0.12, "lift_interval": (0.03, 0.22),
        "chance_better": 0.99, "pages": 3, "visitors": 4321, "against": "other layout",
    }  # fmt: skip
    return CreditReport(**(values | changes))


def test_what_was_learnt_names_the_numbers_it_stands_on():
    assert lineage._learnt(credit()) == (
        "Pages with the layout “Split: words left, form right” turned out +12% (+3% to +22%) against pages with "
        "another, whatever else they hold: 4,321 visitors on 3 pages."
    )
    crossed = lineage._learnt(credit(kind="operator", name="crossover", slot="", against="the mean of their parents"))
    assert crossed.startswith("Pages crossed from others turned out +12%")


@pytest.mark.parametrize(
    ("changes", "is_learnt"),
    [({}, True), ({"pages": 1}, False), ({"visitors": 358}, False), ({"lift_interval": (-0.01, 0.3)}, False)],
)
def test_only_what_is_sure_and_was_seen_on_several_pages_is_carried_on(changes: dict[str, Any], is_learnt: bool):  # noqa: FBT001
    assert lineage._is_learnt(credit(**changes)) is is_learnt


@pytest.mark.django_db
def test_an_experiment_in_which_nothing_was_bred_says_nothing_of_evolution():
    report = build(make_counted([(1000, 50), (1000, 60)]))
    assert report.lineage is None
    assert family.family_of(report.lineage) is None


@pytest.mark.django_db
@pytest.mark.usefixtures("redis_url", "eager_tasks")
def test_what_was_bred_is_in_the_report_with_parents_operators_costs_and_credit(django_capture_on_commit_callbacks):
    experiment = make_garden()
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            evolution.tick(experiment.pk)
        look_at_children(experiment)
    Arm.objects.filter(experiment=experiment).update(status=Arm.Status.LIVE)
    found = lineage.of(experiment)
    children = [one for one in found.members if one.round == 1]
    assert children
    assert {one.operator for one in children} <= {"crossover", "mutation", "fresh"}
    assert all(one.parents for one in children if one.operator != "fresh")
    assert all(one.cost_usd == 0 for one in children)
    assert {row.kind for row in found.credit} >= {"direction", "gene"}
    assert all(row.lift_interval[0] <= row.lift <= row.lift_interval[1] for row in found.credit)
    shown = family.family_of(build(experiment).lineage)
    assert shown is not None
    assert len(shown.rows) == len(found.members)
    assert not re.search(r"\bp\s*=|\bNone\b|\bnan\b", " ".join(cell for row in shown.rows for cell in row))
    assert "lineage" not in as_json(build(experiment))
