"""`manage.py simulate`: what it prints, and what it refuses."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from experiments.management.commands.simulate import ANSWER_SECONDS, Command, usual_site
from experiments.splitter.records import Conversion, Exposure
from greenhouse.environment import Environment
from tests.experiments.test_visitors import site
from tests.factories import make_running
from tests.servers import free_port

__all__ = ["site"]  # a fixture

pytestmark = pytest.mark.django_db


def simulate(*arguments: str) -> str:
    output = StringIO()
    call_command("simulate", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


def test_it_prints_one_json_object_with_what_was_sent(site):
    make_running(slug="paperless")
    address = f"http://127.0.0.1:{site.port}"
    output = simulate("paperless", "--visitors", "40", "--rate", "control=1", "--url", address, "--seed", "7")
    printed = json.loads(output)
    assert sum(arm["exposures"] for arm in printed.values()) == len(site.records(Exposure)) == 40
    assert printed["control"]["conversions"] == printed["control"]["exposures"] == len(site.records(Conversion))


@pytest.mark.parametrize("rates", [["control=0.1", "v2=1"], ["control=0.1", "--rate", "v2=1"]])
def test_one_flag_takes_several_rates_and_may_be_repeated(site, rates):
    make_running(slug="paperless")
    address = f"http://127.0.0.1:{site.port}"
    # Of forty visitors some get v2 but once in a million million runs; of twenty, but once in a million.
    printed = json.loads(simulate("paperless", "--visitors", "40", "--url", address, "--rate", *rates))
    assert printed["v2"]["conversions"] == printed["v2"]["exposures"] > 0


def test_without_an_address_it_goes_where_greenhouse_told_that_it_runs(site, settings, tmp_path):
    make_running(slug="paperless")
    settings.STATE_DIR, settings.ENVIRONMENT = tmp_path, Environment.model_construct()
    (tmp_path / "url").write_text(f"http://127.0.0.1:{site.port}\n")
    printed = json.loads(simulate("paperless", "--visitors", "3"))
    assert sum(arm["exposures"] for arm in printed.values()) == 3


def test_a_port_of_the_environment_goes_before_what_the_folder_says(settings, tmp_path):
    settings.STATE_DIR, settings.ENVIRONMENT = tmp_path, Environment(port=8123)
    settings.PUBLIC_URL = "http://127.0.0.1:8123"
    (tmp_path / "url").write_text("http://127.0.0.1:1\n")
    assert usual_site() == "http://127.0.0.1:8123"


def test_a_folder_without_a_greenhouse_is_named_with_what_to_set(db, settings):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE experiments_experiment RENAME TO elsewhere")
    place = f"({settings.STATE_DIR}|DATABASE_URL)"  # what says which database it is
    with pytest.raises(CommandError, match=rf"There is no Greenhouse in {place}. Say where .* STATE_DIR"):
        simulate("paperless", "--visitors", "1")


def test_it_needs_no_key_because_it_signs_nothing():
    assert not Command.requires_system_checks


def test_an_address_where_nothing_answers_is_named_soon():
    make_running(slug="paperless")
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CommandError, match=rf"Nothing answers at {address}: .* --url"):
        simulate("paperless", "--visitors", "1", "--url", address)
    assert ANSWER_SECONDS <= 5  # a clock in this test would measure the machine


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
