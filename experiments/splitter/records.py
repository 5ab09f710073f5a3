"""Turn what a visitor did into journal lines, and journal lines back into what was done.

One record is one line: the CRC-32 of the JSON as eight hex digits, a space, the JSON array, a line feed. The visitor
tier writes lines, counting reads them. A line that was cut off by a full disk fails its CRC and is skipped: its writer
saw the failed write and never promised the visitor anything.

    ["exposure", experiment, visitor, arm, epoch, exposed_ms, {attribute: text}]
    ["conversion", experiment, visitor, arm, epoch, exposed_ms, goal, at_ms, value or null, event_id]
    ["lead", experiment, visitor, arm, at_ms, lead_id, {field: text}]
    ["forget", experiment, visitor, exposed_ms, at_ms]
    ["tally", experiment, at_ms, {kind: count}]
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

SHOWN = 40  # characters of a bad line in a message: what a visitor typed comes later in the line


class NotARecord(ValueError):
    """A line's JSON has not the shape of any record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A visitor's first sight of their arm."""

    experiment: int
    visitor: str
    arm: str
    epoch: int
    exposed_ms: int
    attributes: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Give the journal line."""
        return _line(
            ["exposure", self.experiment, self.visitor, self.arm, self.epoch, self.exposed_ms, self.attributes]
        )


def exposure_line(*, experiment: int, visitor: str, arm: str, epoch: int, exposed_ms: int, attributes: str) -> bytes:
    """Give the journal line of an exposure whose visitor and arm need no escaping and whose attributes are JSON.

    Optimization: making an Exposure and encoding that takes four times as long.
    """
    return _checked(f'["exposure",{experiment},"{visitor}","{arm}",{epoch},{exposed_ms},{attributes}]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A goal reached by an exposed visitor. It carries its exposure, so it may be counted before it."""

    experiment: int
    visitor: str
    arm: str
    epoch: int
    exposed_ms: int
    goal: str
    at_ms: int
    value: float | None = None
    event_id: str = ""  # empty: the goal counts once per visitor

    def encode(self) -> bytes:
        """Give the journal line."""
        exposure = [self.experiment, self.visitor, self.arm, self.epoch, self.exposed_ms]
        return _line(["conversion", *exposure, self.goal, self.at_ms, self.value, self.event_id])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """A form somebody filled in; visitor and arm are empty when they were not part of the experiment."""

    experiment: int
    visitor: str
    arm: str
    at_ms: int
    lead_id: str
    fields: Mapping[str, str]

    def encode(self) -> bytes:
        """Give the journal line."""
        return _line(["lead", self.experiment, self.visitor, self.arm, self.at_ms, self.lead_id, self.fields])


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """A visitor who took their consent back: what is kept of them goes."""

    experiment: int
    visitor: str
    exposed_ms: int
    at_ms: int

    def encode(self) -> bytes:
        """Give the journal line."""
        return _line(["forget", self.experiment, self.visitor, self.exposed_ms, self.at_ms])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many requests of each kind were answered but not counted since the last tally."""

    experiment: int
    at_ms: int
    counts: Mapping[str, int]

    def encode(self) -> bytes:
        """Give the journal line."""
        return _line(["tally", self.experiment, self.at_ms, self.counts])


class ReadExposure(NamedTuple):
    """An exposure as counting takes it: by its key's order, and with the attributes still JSON.

    Optimization: making an Exposure takes longer than all the rest of reading its line.
    """

    experiment: int
    exposed_ms: int
    visitor: str
    arm: str
    epoch: int
    attributes: str


Record = Exposure | Conversion | Lead | Forget | Tally
ReadRecord = ReadExposure | Conversion | Lead | Forget | Tally


def decode_lines(data: bytes) -> tuple[list[Record], int]:
    """Give the records of whole lines, and how many lines were torn.

    What follows the last line feed was never finished, so it is torn even if its CRC holds.
    """
    *lines, rest = data.split(b"\n")
    records: list[Record] = []
    torn = 1 if rest else 0
    for line in lines:
        if not line:
            continue
        try:
            records.append(decode_line(line))
        except NotARecord:
            torn += 1
    return records, torn


# The lines that are many: what exposure_line writes, conversions whose texts need no escaping, and any other line.
# Optimization: one pattern over all lines, and JSON, which takes four times as long, for the others alone.
_NUMBER = "([0-9]{1,18})"
_EXPOSED = rf'{_NUMBER},"([0-9a-f]+)","([a-z0-9_-]+)",{_NUMBER},{_NUMBER}'
_LINES = re.compile(
    rf'([0-9a-f]{{8}}) (\["exposure",{_EXPOSED},(\{{[ -~]*\}})\])\n'
    rf'|([0-9a-f]{{8}}) (\["conversion",{_EXPOSED},"([a-z0-9_-]+)",{_NUMBER},null,""\])\n'
    r"|([^\n]*)\n"
)
_EXPOSURE, _CONVERSION = slice(2, 8), slice(10, 17)  # the groups of their values


def read_lines(data: bytes) -> tuple[list[ReadRecord], int]:
    """Give the records of whole lines as counting takes them, and how many lines were torn."""
    text = data.decode("latin-1")
    found: list[ReadRecord] = []
    others: list[str] = []
    for groups in _LINES.findall(text):
        if groups[0] and _holds(groups[0], groups[1]):
            experiment, visitor, arm, epoch, exposed_ms, attributes = groups[_EXPOSURE]
            found.append(ReadExposure(int(experiment), int(exposed_ms), visitor, arm, int(epoch), attributes))
        elif groups[8] and _holds(groups[8], groups[9]):
            found.append(_conversion_of(groups[_CONVERSION]))
        else:
            others.append(groups[1] or groups[9] or groups[17])  # without its checksum, a line is torn
    others.append(text[text.rfind("\n") + 1 :])
    decoded, torn = decode_lines("\n".join(others).encode("latin-1"))
    found += [_as_read(record) if isinstance(record, Exposure) else record for record in decoded]
    return found, torn


def _holds(crc: str, body: str) -> bool:
    return int(crc, 16) == crc32(body.encode("latin-1"))


def _conversion_of(texts: tuple[str, ...]) -> Conversion:
    experiment, visitor, arm, epoch, exposed_ms, goal, at_ms = texts
    return Conversion(
        experiment=int(experiment),
        visitor=visitor,
        arm=arm,
        epoch=int(epoch),
        exposed_ms=int(exposed_ms),
        goal=goal,
        at_ms=int(at_ms),
    )


def _as_read(record: Exposure) -> ReadExposure:
    return ReadExposure(
        experiment=record.experiment,
        exposed_ms=record.exposed_ms,
        visitor=record.visitor,
        arm=record.arm,
        epoch=record.epoch,
        attributes=_to_json(record.attributes),
    )


def decode_line(line: bytes) -> Record:
    """Give the record of one line without its line feed, or raise NotARecord."""
    crc, _, body = line.partition(b" ")
    if crc != _crc(body):
        raise NotARecord(f"the checksum does not hold: {line[:SHOWN]!r}")
    try:
        kind, *values = json.loads(body)
        return _DECODERS[kind](values)
    except (ValueError, KeyError, TypeError) as error:
        raise NotARecord(f"not a record: {line[:SHOWN]!r}") from error


def _line(values: list[Any]) -> bytes:
    # Escaped to ASCII, so that no text of a visitor can hold a line feed or half a character.
    return _checked(_to_json(values))


def _checked(json_text: str) -> bytes:
    body = json_text.encode("ascii")
    return b"%08x %b\n" % (crc32(body), body)


_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def _crc(body: bytes) -> bytes:
    return b"%08x" % crc32(body)


def _exposure(values: list[Any]) -> Exposure:
    experiment, visitor, arm, epoch, exposed_ms, attributes = values
    return Exposure(
        experiment=_whole(experiment),
        visitor=_text(visitor),
        arm=_text(arm),
        epoch=_whole(epoch),
        exposed_ms=_whole(exposed_ms),
        attributes=_mapping(attributes, _text),
    )


def _conversion(values: list[Any]) -> Conversion:
    experiment, visitor, arm, epoch, exposed_ms, goal, at_ms, value, event_id = values
    return Conversion(
        experiment=_whole(experiment),
        visitor=_text(visitor),
        arm=_text(arm),
        epoch=_whole(epoch),
        exposed_ms=_whole(exposed_ms),
        goal=_text(goal),
        at_ms=_whole(at_ms),
        value=None if value is None else _amount(value),
        event_id=_text(event_id),
    )


def _lead(values: list[Any]) -> Lead:
    experiment, visitor, arm, at_ms, lead_id, fields = values
    return Lead(
        experiment=_whole(experiment),
        visitor=_text(visitor),
        arm=_text(arm),
        at_ms=_whole(at_ms),
        lead_id=_text(lead_id),
        fields=_mapping(fields, _text),
    )


def _forget(values: list[Any]) -> Forget:
    experiment, visitor, exposed_ms, at_ms = values
    return Forget(
        experiment=_whole(experiment), visitor=_text(visitor), exposed_ms=_whole(exposed_ms), at_ms=_whole(at_ms)
    )


def _tally(values: list[Any]) -> Tally:
    experiment, at_ms, counts = values
    return Tally(experiment=_whole(experiment), at_ms=_whole(at_ms), counts=_mapping(counts, _whole))


_DECODERS: dict[str, Callable[[list[Any]], Record]] = {
    "exposure": _exposure,
    "conversion": _conversion,
    "lead": _lead,
    "forget": _forget,
    "tally": _tally,
}


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotARecord(f"not a whole number: {value!r}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise NotARecord(f"not a text: {value!r}")
    return value


def _amount(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise NotARecord(f"not a finite number: {value!r}")
    return float(value)


def _mapping[T](value: object, read: Callable[[object], T]) -> dict[str, T]:
    if not isinstance(value, dict):
        raise NotARecord(f"not a mapping: {value!r}")
    return {_text(key): read(entry) for key, entry in value.items()}
