"""Journal lines."""

import json
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.splitter.records import (
    Conversion,
    Exposure,
    Lead,
    NotARecord,
    ReadExposure,
    Record,
    Tally,
    decode_line,
    decode_lines,
    exposure_line,
    read_lines,
)

whole = st.integers(0, 2**53)
text = st.text(max_size=20)
texts = st.dictionaries(text, text, max_size=3)
exposures = st.builds(
    Exposure, experiment=whole, visitor=text, arm=text, epoch=whole, exposed_ms=whole, attributes=texts
)
conversions = st.builds(
    Conversion,
    experiment=whole,
    visitor=text,
    arm=text,
    epoch=whole,
    exposed_ms=whole,
    goal=text,
    at_ms=whole,
    value=st.none() | st.floats(0, 1e12),
    event_id=text,
)
leads = st.builds(Lead, experiment=whole, visitor=text, arm=text, at_ms=whole, lead_id=text, fields=texts)
tallies = st.builds(Tally, experiment=whole, at_ms=whole, counts=st.dictionaries(text, whole, max_size=3))
records = st.one_of(exposures, conversions, leads, tallies)

unhurried = settings(deadline=None)  # on a busy machine an example may take any time


@unhurried
@given(st.lists(records, max_size=4))
def test_what_is_written_is_read(written: list[Record]):
    assert decode_lines(b"".join(record.encode() for record in written)) == (written, 0)


@unhurried
@given(records, st.data())
def test_a_line_cut_short_is_torn_and_harms_no_neighbour(record: Record, data: st.DataObject):
    line = record.encode()
    cut = data.draw(st.integers(1, len(line) - 1))
    assert decode_lines(record.encode() + line[:cut] + b"!\n" + record.encode()) == ([record, record], 1)


@unhurried
@given(records, st.data())
def test_a_changed_byte_is_never_read(record: Record, data: st.DataObject):
    line = record.encode()[:-1]
    position = data.draw(st.integers(0, len(line) - 1))
    other = bytes([line[position] ^ 1])
    found, _ = decode_lines(line[:position] + other + line[position + 1 :] + b"\n")
    assert record not in found


@unhurried
@given(st.binary(max_size=200))
def test_garbage_is_counted_and_not_raised(data: bytes):
    found, torn = decode_lines(data)
    assert found == []
    assert torn <= data.count(b"\n") + 1


def test_a_whole_line_without_its_line_feed_is_torn():
    line = Tally(experiment=1, at_ms=2, counts={}).encode()
    assert decode_lines(line[:-1]) == ([], 1)


def test_empty_lines_mean_nothing():
    assert decode_lines(b"\n\n") == ([], 0)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"5",
        b'["exposure"]',
        b'["unknown", 1]',
        b'[["exposure"], 1]',
        b'["exposure", true, "v", "a", 1, 2, {}]',
        b'["exposure", 1, "v", "a", 1, 2, []]',
        b'["exposure", 1, "v", "a", 1, 2, {"device": 5}]',
        b'["conversion", 1, "v", "a", 1, 2, "g", 3, NaN, ""]',
        b'["conversion", 1, "v", "a", 1, 2, "g", 3, "4", ""]',
        b'["lead", 1, null, "a", 1, "id", {}]',
        b'["tally", 1, 2, {"bot": 0.5}]',
    ],
)
def test_a_valid_checksum_over_another_shape_is_refused(body: bytes):
    with pytest.raises(NotARecord):
        decode_line(b"%08x %b" % (crc32(body), body))


@unhurried
@given(whole, st.text("0123456789abcdef", min_size=32, max_size=32), whole, whole, texts)
def test_the_short_way_to_write_an_exposure_writes_the_same_line(
    experiment: int, visitor: str, epoch: int, exposed_ms: int, attributes: dict[str, str]
):
    told: dict[str, Any] = {
        "experiment": experiment,
        "visitor": visitor,
        "arm": "v-2",
        "epoch": epoch,
        "exposed_ms": exposed_ms,
    }
    as_json = json.dumps(attributes, separators=(",", ":"))
    assert exposure_line(**told, attributes=as_json) == Exposure(**told, attributes=attributes).encode()


def as_read(record: Record) -> object:
    """Return a record as counting takes it, its attributes read again."""
    if not isinstance(record, Exposure):
        return record
    return (record.experiment, record.exposed_ms, record.visitor, record.arm, record.epoch, dict(record.attributes))


@unhurried
@given(st.lists(records, max_size=4))
def test_counting_reads_what_was_written(written: list[Record]):
    found, torn = read_lines(b"".join(record.encode() for record in written))
    read = [(*each[:5], json.loads(each.attributes)) if isinstance(each, ReadExposure) else each for each in found]
    assert torn == 0
    assert sorted(map(repr, read)) == sorted(repr(as_read(record)) for record in written)


def test_counting_takes_no_line_whose_checksum_fails_and_counts_it_as_torn():
    line = exposure_line(experiment=1, visitor="a" * 32, arm="v1", epoch=1, exposed_ms=5, attributes='{"utm_id":"x"}')
    changed = line.replace(b'"v1"', b'"v2"')
    assert read_lines(line + changed + line[:-1]) == ([ReadExposure(1, 5, "a" * 32, "v1", 1, '{"utm_id":"x"}')], 2)
