"""`manage.py up`: start everything Greenhouse needs in this folder and keep it running until Ctrl-C."""

from dataclasses import asdict

from django.core.management.base import BaseCommand, CommandError

from greenhouse.house import CannotStart, Welcome, announce, run
from greenhouse.supervisor import ReleaseFailed, Supervisor


def tell(welcome: Welcome, _supervisor: Supervisor) -> None:
    announce("READY", asdict(welcome))


class Command(BaseCommand):
    help = "Start web, workers, timetable and the embedded Redis, and keep them running until Ctrl-C."
    # Everything is checked by `release`, which migrates; the database need not exist yet.
    requires_system_checks = ()

    def handle(self, *_args: object, **_options: object) -> None:
        try:
            run(tell)
        except (CannotStart, ReleaseFailed) as error:
            raise CommandError(str(error)) from error
