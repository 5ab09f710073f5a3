"""`manage.py up`: start everything Greenhouse needs in this folder and keep it running until Ctrl-C."""

from dataclasses import asdict

from django.core.management.base import BaseCommand, CommandError

from greenhouse.checks import refuse_faults
from greenhouse.house import CannotStart, Welcome, announce, run
from greenhouse.supervisor import ReleaseFailed, Supervisor


def tell(welcome: Welcome, _supervisor: Supervisor) -> None:
    announce("READY", asdict(welcome))


class Command(BaseCommand):
    help = "Start web, workers, timetable and the embedded Redis, and keep them running until Ctrl-C."
    # The environment is checked by itself, and the rest by `release`, which migrates: a first start has no key yet.
    requires_system_checks = ()

    def handle(self, *_args: object, **_options: object) -> None:
        refuse_faults()
        try:
            run(tell)
        except (CannotStart, ReleaseFailed) as error:
            raise CommandError(str(error)) from error
