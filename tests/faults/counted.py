"""What stands in the database about one experiment, row by row."""

from dataclasses import dataclass
from datetime import UTC, datetime

from tests.faults.daemons import PostgresDaemon
from tests.faults.visitors import Deed, Page

FIRST_EVENT = "\t"  # the event id of the row that says a visitor reached a revenue goal at all


@dataclass(frozen=True, slots=True)
class CountedExposure:
    visitor: str
    arm: str
    epoch: int
    exposed_ms: int
    mark: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What stands in a database: rows as lists, so that doubles show."""

    exposures: list[CountedExposure]
    deeds: list[Deed]
    leads: list[str] | None = None  # e-mail addresses; None where leads are not looked at


def counted_by_greenhouse(postgres: PostgresDaemon, page: Page) -> Counted:
    """Read the rows of one experiment."""
    exposures = postgres.rows(
        "SELECT visitor, key, epoch, exposed_at, attributes->>'utm_id' FROM experiments_exposure e"
        " JOIN experiments_arm a ON a.id = e.arm_id WHERE e.experiment_id = %s",
        page.number,
    )
    deeds = postgres.rows(
        "SELECT visitor, key, event_id FROM experiments_conversion c JOIN experiments_goal g ON g.id = c.goal_id"
        " WHERE c.experiment_id = %s AND event_id <> %s",
        page.number, FIRST_EVENT,
    )  # fmt: skip
    leads = postgres.rows("SELECT values->>'email' FROM experiments_lead WHERE experiment_id = %s", page.number)
    return Counted(
        exposures=[
            CountedExposure(visitor, arm, epoch, _milliseconds(at), mark) for visitor, arm, epoch, at, mark in exposures
        ],
        deeds=[Deed(*row) for row in deeds],
        leads=[mail for (mail,) in leads],
    )


def counted_badly(postgres: PostgresDaemon, way: str, page: Page) -> Counted:
    """Read what a broken counter counted of an experiment."""
    exposures = postgres.rows(
        "SELECT visitor, arm, epoch, exposed_ms, mark FROM broken_exposure WHERE way = %s AND experiment = %s",
        way, page.number,
    )  # fmt: skip
    deeds = postgres.rows(
        "SELECT visitor, goal, event_id FROM broken_conversion WHERE way = %s AND experiment = %s", way, page.number
    )
    return Counted(exposures=[CountedExposure(*row) for row in exposures], deeds=[Deed(*row) for row in deeds])


def _milliseconds(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
