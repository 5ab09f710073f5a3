"""Journals as crashes leave them, and chunks as networks and restarts deliver them."""

import random
from collections.abc import Iterable
from contextlib import closing
from uuid import uuid4

from experiments.splitter.records import Exposure
from experiments.splitter.stores import Chunk, RedisStore
from tests.faults.rig import Rig
from tests.faults.test_backlog import enter, exposures, first_shares
from tests.faults.visitors import Page, Visitors

DEAD = 12  # journals
RECORDS = 200  # of each
CHUNKS = 20


def records(rig: Rig, page: Page, visitors: Visitors, number: int) -> list[Exposure]:
    """Make visitors who were answered by somebody who has died."""
    made = list(exposures(page, first_shares(rig, page), number))
    for record in made:
        enter(visitors.ledger, record)
    return made


def lines(made: Iterable[Exposure]) -> bytes:
    return b"".join(record.encode() for record in made)


def test_journals_of_the_dead_are_counted_once_though_several_processes_find_them(rig, assert_exact):
    """The last line of each is torn, wherever the crash was: its visitor was not answered and may be counted or not."""
    page = rig.plant()
    visitors, chance = rig.visitors(page), random.Random(11)
    made = records(rig, page, visitors, DEAD * RECORDS)
    torn = Exposure(experiment=page.number, visitor=uuid4().hex, arm="control", epoch=1, exposed_ms=made[0].exposed_ms)
    with rig.visitor_tier("other", JOURNAL_DIR=str(rig.journal_dirs[0])) as other:
        rig.wait_until_served(page, port=other.port)
        for place in range(DEAD):
            whole = lines(made[place * RECORDS : (place + 1) * RECORDS])
            rig.leave_journal(whole + torn.encode()[: chance.randrange(1, len(torn.encode()) - 1)])
        assert_exact(rig, visitors, journals=DEAD)
    assert rig.postgres.rows("SELECT 1 FROM experiments_exposure WHERE visitor = %s", torn.visitor) == []


def chunks(journal: str, made: list[Exposure]) -> list[Chunk]:
    """Cut what a journal says into chunks of whole lines, end to end."""
    cut, start = [], 0
    for place in range(CHUNKS):
        data = lines(made[place * RECORDS : (place + 1) * RECORDS])
        cut.append(Chunk(journal=journal, start=start, end=start + len(data), data=data))
        start += len(data)
    return cut


def test_chunks_twice_out_of_order_and_with_a_hole_are_counted_once(rig, assert_exact):
    page = rig.plant()
    visitors, chance, journal = rig.visitors(page), random.Random(13), uuid4().hex
    cut = chunks(journal, records(rig, page, visitors, CHUNKS * RECORDS))
    late = cut[CHUNKS // 2]
    early = [chunk for chunk in cut if chunk is not late] * 2
    chance.shuffle(early)
    with closing(RedisStore(rig.redis.url)) as store:
        for chunk in early:
            store.ship(chunk)
        rig.wait_until(lambda: rig.cursors().get(journal) == late.start, "all before the hole is counted")
        for chunk in [late, *chance.sample(cut, CHUNKS), late]:
            store.ship(chunk)
        rig.wait_until(lambda: rig.cursors().get(journal) == cut[-1].end, "the hole is filled")
    assert_exact(rig, visitors, chunks=len(cut))
