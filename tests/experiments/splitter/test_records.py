"""Journal lines."""

from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.splitter.records import (
    Conversion,
    Exposure,
    Lead,
    NotARecord,
    Record,
    Tally,
    decode_line,
    decode_lines,
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
