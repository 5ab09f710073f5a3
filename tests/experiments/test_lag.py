"""How far counting is behind, over all hosts, in figures and in words."""

from datetime import timedelta

import pytest
from django.utils import timezone

from experiments import lag
from experiments.models import JournalCursor
from experiments.reporting.report import build
from experiments.splitter.stores import JournalLag
from experiments.store import store
from tests.factories import make_running

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_url")]


def say(journal: str, *, end: int, seconds: float = 0.0, ago_seconds: float = 0.0, host: str = "web1") -> None:
    """Have a process say something of its journal."""
    at_ms = int((timezone.now().timestamp() - ago_seconds) * 1000)
    store().report_lags({journal: JournalLag(host=host, end=end, seconds=seconds, at_ms=at_ms)})


def test_with_nobody_there_nothing_is_behind():
    assert lag.measure() == lag.Lag(silent_hosts=[])
    assert lag.measure().sentences() == []


def test_what_all_hosts_hold_uncounted_is_added_up():
    JournalCursor.objects.create(journal="a", offset=60)
    say("a", end=100, seconds=2.0)
    say("b", end=50, seconds=240.0, host="web2")
    found = lag.measure()
    assert (found.uncounted_bytes, found.seconds, found.is_behind) == (90, 240.0, True)
    assert "Counting is 4 minutes behind; nothing is lost." in found.sentences()[0]


def test_a_lag_of_seconds_is_nothing_to_talk_of():
    say("a", end=100, seconds=2.0)
    assert lag.measure().sentences() == []


def test_a_counted_journal_says_nothing_even_if_its_process_did():
    JournalCursor.objects.create(journal="a", offset=100)
    say("a", end=100, seconds=240.0)
    assert lag.measure() == lag.Lag(silent_hosts=[])


def test_a_host_that_died_with_uncounted_visits_is_named():
    say("a", end=100, ago_seconds=600, host="web7")
    assert lag.measure().silent_hosts == ["web7"]
    assert "web7 has gone silent" in lag.measure().sentences()[0]


def test_what_was_said_of_counted_journals_is_forgotten_and_the_rest_kept():
    JournalCursor.objects.create(journal="counted", offset=100)
    say("counted", end=100, ago_seconds=600)
    say("waiting", end=100, ago_seconds=600)
    say("living", end=0)
    lag.forget_counted()
    assert set(store().lags()) == {"waiting", "living"}


def test_an_absent_redis_is_said_in_words(settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    store.cache_clear()
    assert "Redis does not answer" in lag.measure().sentences()[0]


def test_the_report_says_up_to_when_it_is_counted(client, owner):
    experiment = make_running()
    say("a", end=100, seconds=600.0)
    report = build(experiment)
    assert timedelta(seconds=599) < report.generated_at - report.counted_until < timedelta(seconds=601)
    client.force_login(owner)
    assert "Counting is 10 minutes behind" in client.get(f"/experiments/{experiment.pk}/report/").content.decode()


def test_the_console_says_it_on_its_first_page(client, owner):
    make_running()
    client.force_login(owner)
    assert "minutes behind" not in client.get("/console/").content.decode()
    say("a", end=100, seconds=600.0)
    assert "Counting is 10 minutes behind" in client.get("/console/").content.decode()
