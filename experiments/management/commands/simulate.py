"""`manage.py simulate SLUG`: real HTTP visitors on a served page, converting at hidden true rates.

Prints one JSON object, `{arm: {"exposures": n, "conversions": n}}`: what was answered. Everything else goes to stderr.
"""

import json
import threading
from argparse import ArgumentTypeError
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from experiments.demo.visitors import Crowd, Goal, Interrupted, PageUnavailable, Sent, send, wait_for_site
from experiments.models import Experiment

PROGRESS_SECONDS = 5.0
ANSWER_SECONDS = 5.0  # a web process that was killed is back sooner


def rate(text: str) -> tuple[str, float]:
    arm, equals, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not arm or not equals or not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not ARM=RATE with a rate from 0 to 1, such as control=0.03")
    return arm, value


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def site(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ArgumentTypeError(f"{text!r} is not the address of a site, such as http://127.0.0.1:8000")
    return f"{parts.scheme}://{parts.netloc}"


def usual_site() -> str:
    """Return where the pages are: as PORT or PUBLIC_URL say, else as what runs in STATE_DIR told."""
    told = settings.STATE_DIR / "url"
    if settings.ENVIRONMENT.model_fields_set & {"port", "public_url"} or not told.is_file():
        return str(settings.PUBLIC_URL)
    return str(told.read_text().strip())


def primary_goal(experiment: Experiment) -> Goal:
    goal = experiment.goals.filter(is_primary=True).first()
    if goal is None:
        raise CommandError(f"{experiment.slug} has no primary goal, so there is nothing to convert to.")
    return Goal(key=goal.key, kind=goal.kind, link=goal.link)  # type: ignore[arg-type]  # the choices of Goal.Kind


def find(slug: str) -> Experiment:
    """Return the experiment, or say which Greenhouse was looked at: a wrong folder has a database too, an empty one."""
    try:
        experiment = Experiment.objects.filter(slug=slug).first()
    except (OperationalError, ProgrammingError) as error:
        raise CommandError(f"There is no Greenhouse {_where()}.{_PLACE}") from error
    if experiment is None:
        raise CommandError(f"There is no experiment {slug!r} {_where()}.{_PLACE}")
    return experiment


_PLACE = (
    " Say where it runs: set STATE_DIR to its folder, and DATABASE_URL too where it has one, as they were set for "
    "`manage.py up` or `make demo`."
)


def _where() -> str:
    return "in DATABASE_URL" if settings.ENVIRONMENT.database_url else f"in {settings.STATE_DIR}"


class Command(BaseCommand):
    requires_system_checks = ()  # nothing is signed here: it works without SECRET_KEY
    help = (
        "Send simulated visitors with cookies to a served page and print what was answered, per arm, as JSON. "
        "Arms without --rate never convert. A visitor whose page got no answer (the server died) is replaced by a "
        "new one, and conversions are sent again until they are answered."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the end of the page's address, such as paperless of `make demo`")
        parser.add_argument("--visitors", type=at_least_one, required=True, metavar="N")
        # One flag may name several arms, and be repeated.
        parser.add_argument(
            "--rate",
            type=rate,
            action="extend",
            nargs="+",
            default=[],
            metavar="ARM=RATE",
            dest="rates",
            help="keys of arms as the report's JSON has them, such as control=0.04 v2=0.06",
        )
        parser.add_argument("--url", type=site, default=usual_site(), help="the site (default: %(default)s)")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--concurrency", type=at_least_one, default=8)

    def handle(self, *_args: object, slug: str, rates: list[tuple[str, float]], **options: object) -> None:
        experiment = find(slug)
        arms = set(experiment.arms.values_list("key", flat=True))
        if unknown := sorted({arm for arm, _ in rates} - arms):
            raise CommandError(
                f"{slug} has no arm {', '.join(unknown)}; it has {', '.join(sorted(arms)) or 'none yet'}."
            )
        crowd = Crowd(
            url=f"{options['url']}/p/{slug}/",
            visitors=int(str(options["visitors"])),
            rates=dict(rates),
            goal=primary_goal(experiment),
            seed=int(str(options["seed"])),
            concurrency=int(str(options["concurrency"])),
        )
        try:
            wait_for_site(str(options["url"]), seconds=ANSWER_SECONDS)
        except PageUnavailable as error:
            raise CommandError(f"{error}. Is Greenhouse running there? Say where it is with --url.") from error
        self.stdout.write(json.dumps(self._send(crowd).by_arm()))

    def _send(self, crowd: Crowd) -> Sent:
        sent, stopping, over = Sent(), threading.Event(), threading.Event()
        threading.Thread(target=self._report, args=[sent, over], daemon=True).start()
        try:
            send(crowd, sent, stopping=stopping)
        except PageUnavailable as error:
            raise CommandError(str(error)) from error
        except (KeyboardInterrupt, Interrupted) as error:
            stopping.set()
            raise CommandError(f"interrupted after {sent.visitors} visitors") from error
        finally:
            over.set()
        self.stderr.write(
            f"{sent.visitors} visitors, {sent.uncounted} of them not counted; {len(sent.unanswered)} pages got no "
            f"answer, {sent.repeated} conversions were sent again"
        )
        return sent

    def _report(self, sent: Sent, over: threading.Event) -> None:
        while not over.wait(PROGRESS_SECONDS):
            self.stderr.write(f"{sent.visitors} visitors")
