"""`manage.py simulate`: what it prints, and what it refuses."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from experiments.splitter.records import Conversion, Exposure
from tests.experiments.test_visitors import site
from tests.factories import make_running

__all__ = ["site"]  # a fixture

pytestmark = pytest.mark.django_db


def simulate(*arguments: str) -> str:
    output = StringIO()
    call_command("simulate", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def test_it_prints_one_json_object_with_what_was_sent(site):
    make_running(slug="paperless")
    address = f"http://127.0.0.1:{site.port}"
    output = simulate("paperless", "--visitors", "20", "--rate", "control=1", "--url", address, "--seed", "7")
    printed = json.loads(output)
    assert sum(arm["exposures"] for arm in printed.values()) == len(site.records(Exposure)) == 20
    assert printed["control"]["conversions"] == printed["control"]["exposures"] == len(site.records(Conversion))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere", "--visitors", "1"], "no experiment 'nowhere'"),
        (["paperless", "--visitors", "1", "--rate", "v9=0.5"], "no arm v9; it has control, v2"),
        (["paperless", "--visitors", "1", "--rate", "control=1.5"], "rate from 0 to 1"),
        (["paperless", "--visitors", "1", "--rate", "control=nan"], "rate from 0 to 1"),
        (["paperless", "--visitors", "1", "--rate", "control"], "not ARM=RATE"),
        (["paperless", "--visitors", "0"], "at least 1"),
        (["paperless", "--visitors", "1", "--url", "localhost"], "not the address of a site"),
    ],
)
def test_it_says_what_is_wrong_with_an_argument(arguments, complaint):
    make_running(slug="paperless")
    with pytest.raises(CommandError, match=complaint):
        simulate(*arguments)


def test_it_says_when_there_is_nothing_to_convert_to():
    make_running(slug="paperless").goals.all().delete()
    with pytest.raises(CommandError, match="no primary goal"):
        simulate("paperless", "--visitors", "1")
