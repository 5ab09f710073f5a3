"""Write what counting found: rows whose key is new, and numbers added to rows that are there.

The two databases differ here and nowhere else in counting. Values come as both take them: whole numbers, floats, None,
and text, where moments are UTC without an offset (`moment`) and JSON is its text.

PostgreSQL   COPY straight into the table where repeats are hardly ever met; where one is met after all, and where they
             are common, COPY into a temporary table and INSERT … SELECT … ON CONFLICT from there
SQLite       INSERT … VALUES, a few hundred rows a statement

Rows go in by their key's order, so that two workers that write the same rows wait for each other in one direction only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from django.db import IntegrityError, connection, transaction

type Row = tuple[Any, ...]

PARAMETERS_PER_STATEMENT = 9_000  # SQLite takes 32,766
ROWS_PER_WRITE = 500  # of a COPY
ESCAPED = ("\\", "\r", "None")  # with tabs and line feeds: what the text form of COPY writes otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Where rows go, and in what order their values come."""

    name: str
    columns: tuple[str, ...]
    # The places of the values that tell the rows of a visitor apart. No moment among them: the databases give those
    # back in different shapes, and there is one time of exposure to a visitor.
    identity: tuple[int, ...]

    def identify(self) -> Callable[[Row], Row]:
        """Return what gives the identity of a row."""
        return itemgetter(*self.identity)


@lru_cache(maxsize=10_000)
def _second(seconds: int) -> str:
    return str(datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None))


_MILLISECONDS = ["", *(f".{milliseconds:03d}000" for milliseconds in range(1, 1000))]


def moment(at_ms: int) -> str:
    """Return a moment as both databases take it and as Django reads it back."""
    return _second(at_ms // 1000) + _MILLISECONDS[at_ms % 1000]


def insert_new(table: Table, rows: list[Row], *, are_mostly_new: bool = False) -> list[Row]:
    """Insert the rows whose key is new; return those, and of rows with one identity the first."""
    if not rows:
        return rows
    if connection.vendor != "postgresql":
        return _first_of(table, rows, _insert_values)
    if are_mostly_new:
        try:
            with transaction.atomic():
                _copy(table.name, table.columns, rows)
        except IntegrityError:
            pass  # Some are there already: the slower way finds out which.
        else:
            return rows
    return _first_of(table, rows, _insert_staged)


def _first_of(table: Table, rows: Sequence[Row], insert: Callable[[Table, list[Row]], list[Row]]) -> list[Row]:
    identity = table.identify()
    first = {identity(row): row for row in reversed(rows)}
    return [first[inserted] for inserted in insert(table, list(first.values()))]


def _insert_staged(table: Table, rows: list[Row]) -> list[Row]:
    columns = _listed(table.columns)
    staged = _stage(table.name, table.columns, rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {_quoted(table.name)} ({columns}) SELECT {columns} FROM {staged} ORDER BY {columns} "  # noqa: S608 - names of ours
            f"ON CONFLICT DO NOTHING RETURNING {_identity_columns(table)}"
        )
        return list(cursor.fetchall())


def _stage(name: str, columns: Sequence[str], rows: Sequence[Row]) -> str:
    """Copy the rows into a temporary table like the one they are for; return its name."""
    staged = _quoted(f"staged_{name}")
    with connection.cursor() as cursor:
        # Its columns without their constraints: an id, which is made only in the end, has to stay away.
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {staged} ON COMMIT DELETE ROWS AS "  # noqa: S608 - as above
            f"SELECT {_listed(columns)} FROM {_quoted(name)} WITH NO DATA"
        )
        cursor.execute(f"DELETE FROM {staged}")  # noqa: S608 - as above; what lies there is of this transaction
    _copy(f"staged_{name}", columns, rows)
    return staged


def _copy(name: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    sql = f"COPY {_quoted(name)} ({_listed(columns)}) FROM STDIN"
    # PostgreSQL reads the rows while the next ones are being written.
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(sql) as copy:
        for start in range(0, len(rows), ROWS_PER_WRITE):
            part = rows[start : start + ROWS_PER_WRITE]
            if text := _plain_text(part):
                copy.write(text)
            else:
                for row in part:
                    copy.write_row(row)


def _plain_text(rows: Sequence[Row]) -> str:
    """Return the rows as COPY reads them, or nothing if a value in them would have to be escaped.

    Optimization: a third of the time that write_row takes, which looks at each value by itself.
    """
    columns = len(rows[0])
    line = "\t".join(["%s"] * columns) + "\n"
    text = "".join([line % row for row in rows])
    is_plain = text.count("\t") == len(rows) * (columns - 1) and text.count("\n") == len(rows)
    return text if is_plain and not any(other in text for other in ESCAPED) else ""


def _insert_values(table: Table, rows: list[Row]) -> list[Row]:
    sql = f"INSERT INTO {_quoted(table.name)} ({_listed(table.columns)}) VALUES "  # noqa: S608 - names of ours
    inserted: list[Row] = []
    for values, parameters in _statements(rows):
        with connection.cursor() as cursor:
            cursor.execute(f"{sql} {values} ON CONFLICT DO NOTHING RETURNING {_identity_columns(table)}", parameters)
            inserted += cursor.fetchall()
    return inserted


def add(name: str, *, key: Sequence[str], added: Sequence[str], rows: list[Row]) -> None:
    """Add each row's numbers to the row with its key, which is made if it is not there yet. Values: key, then added."""
    if not rows:
        return
    columns = (*key, *added)
    into = f"INSERT INTO {_quoted(name)} ({_listed(columns)})"
    sums = ", ".join(f"{number} = {_quoted(name)}.{number} + excluded.{number}" for number in map(_quoted, added))
    otherwise = f"ON CONFLICT ({_listed(key)}) DO UPDATE SET {sums}"
    if connection.vendor == "postgresql":
        staged = _stage(name, columns, rows)
        with connection.cursor() as cursor:
            cursor.execute(
                f"{into} SELECT {_listed(columns)} FROM {staged} ORDER BY {_listed(key)} {otherwise}"  # noqa: S608 - as above
            )
        return
    for values, parameters in _statements(rows):
        with connection.cursor() as cursor:
            cursor.execute(f"{into} VALUES {values} {otherwise}", parameters)


def keep_others_from_adding(*names: str) -> None:
    """Let nobody else add to these tables until the transaction ends: then it may add to them in any order."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {_listed(names)} IN SHARE ROW EXCLUSIVE MODE")


def _statements(rows: Sequence[Row]) -> Iterator[tuple[str, list[Any]]]:
    """Cut rows into statements: the text of VALUES, and its parameters."""
    placeholders = f"({', '.join(['%s'] * len(rows[0]))})"
    step = PARAMETERS_PER_STATEMENT // len(rows[0])
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        yield ", ".join([placeholders] * len(part)), [value for row in part for value in row]


def _identity_columns(table: Table) -> str:
    return _listed([table.columns[place] for place in table.identity])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
