"""What only PostgreSQL does: partitions by month, and many writers at once. test_on_postgres.py runs this there."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection, connections

from experiments import counting, deployment, flags, partitions
from experiments.models import EpochCount, Exposure, KeyedVisitor
from experiments.retention import TABLES, enforce_retention
from tests.experiments.test_counting import NOON_MS, chunks, conversion, counted, exposure, store_with
from tests.factories import make_running

EXPOSURES = TABLES[0]
NOW = datetime.now(UTC)
IN_A_YEAR = NOW + timedelta(days=365)
FAR_PAST_MS, FAR_FUTURE_MS = 0, 253_000_000_000_000  # 1970, 9987


def partition_names(table: str = EXPOSURES) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", [table])
        return {name for (name,) in cursor.fetchall()}


def rows_in(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - names of ours
        return int(cursor.fetchone()[0])


def in_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@pytest.mark.django_db
def test_a_new_database_has_this_month_the_next_ones_and_a_default():
    for table in TABLES:
        assert {f"{table}_{NOW:%Y_%m}", partitions.default_of(table)} <= partition_names(table)
        assert len(partition_names(table)) == partitions.MONTHS_AHEAD + 2


@pytest.mark.django_db
def test_rows_of_no_month_land_in_default_and_move_when_their_month_is_made():
    experiment = make_running()
    made = [exposure(experiment, number, exposed_ms=in_ms(IN_A_YEAR)) for number in range(3)]
    counting.count(store_with(*chunks([made])))
    assert rows_in(partitions.default_of(EXPOSURES)) == 3
    enforce_retention(IN_A_YEAR)
    assert rows_in(partitions.default_of(EXPOSURES)) == 0
    assert rows_in(f"{EXPOSURES}_{IN_A_YEAR:%Y_%m}") == Exposure.objects.count() == 3


@pytest.mark.django_db
def test_a_visitor_stays_unique_across_the_move():
    experiment = make_running()
    for journal in ("a" * 32, "b" * 32):
        reached = conversion(experiment, 1, exposed_ms=in_ms(IN_A_YEAR), at_ms=in_ms(IN_A_YEAR) + 1)
        counting.count(store_with(*chunks([[reached]], journal=journal)))
        enforce_retention(IN_A_YEAR)
    assert counted(experiment, "signup") == 1


@pytest.mark.django_db
def test_clocks_that_are_wrong_by_years_make_no_partition():
    experiment = make_running()
    before = partition_names()
    wrong = [exposure(experiment, n, exposed_ms=at) for n, at in enumerate((FAR_PAST_MS, FAR_FUTURE_MS))]
    counting.count(store_with(*chunks([[*wrong, exposure(experiment, 2, exposed_ms=in_ms(NOW))]])))
    enforce_retention(NOW)
    assert partition_names() == before
    assert counted(experiment) == 3
    assert rows_in(partitions.default_of(EXPOSURES)) == 1  # of 9987; that of 1970 was over age


@pytest.mark.django_db
def test_months_over_age_are_dropped_whole():
    month = f"{EXPOSURES}_{NOW:%Y_%m}"
    enforce_retention(NOW + timedelta(days=730))
    assert month in partition_names()
    enforce_retention(NOW + timedelta(days=730 + 32))
    assert month not in partition_names()


@pytest.mark.django_db
def test_a_month_that_somebody_is_reading_is_left_for_the_next_run(caplog):
    before = partition_names()
    with psycopg.connect(**connection.get_connection_params()) as reader:
        reader.execute("SELECT 1 FROM experiments_exposure_default")
        partitions.prepare(EXPOSURES, IN_A_YEAR, patience_seconds=0.05)
        assert partition_names() == before
        assert "tried again with the next run" in caplog.text
    partitions.prepare(EXPOSURES, IN_A_YEAR)
    assert len(partition_names()) == len(before) + partitions.MONTHS_AHEAD + 1


@pytest.mark.django_db(transaction=True)
def test_one_event_sent_a_thousand_times_over_forty_connections_is_counted_once():
    experiment = make_running(goal_kind="revenue")
    bought = conversion(experiment, 1, event_id="order-1", value=10.0)

    def send(_number: int) -> None:
        try:
            for _ in range(25):
                counting.count_directly(bought)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(40) as senders:
        list(senders.map(send, range(40)))
    row = EpochCount.objects.get(measure="signup")
    assert (row.count, row.value) == (1, 10.0)


@pytest.mark.django_db(transaction=True)
def test_workers_with_the_same_visitors_in_different_orders_do_not_deadlock():
    experiment = make_running()
    made = [exposure(experiment, number, exposed_ms=NOON_MS + number) for number in range(2000)]

    def work(number: int) -> None:
        try:
            batch = made if number % 2 else made[::-1]
            counting.count(store_with(*chunks([batch], journal=f"{number:032x}")))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(work, range(6)))
    assert counted(experiment) == Exposure.objects.count() == 2000


@pytest.mark.django_db(transaction=True)
def test_one_targeting_key_gets_one_arm_and_one_exposure_whoever_asks_at_the_same_moment(redis_url: str):
    experiment = make_running(arms=3)
    deployment.deploy(experiment, reason="test")
    experiment.refresh_from_db()
    ada = flags.Person(targeting_key="ada")

    def ask_and_tell(_: int) -> tuple[str, bool]:
        try:
            arm = flags.evaluate(experiment, ada, now=datetime.now(UTC)).choice.key
            return arm, flags.expose(experiment, ada, now=datetime.now(UTC)).is_counted
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask_and_tell, range(24)))
    assert len(found) == KeyedVisitor.objects.count() == 1
    assert [is_counted for _, is_counted in found] == [True]
    assert Exposure.objects.count() == EpochCount.objects.get().count == 1
