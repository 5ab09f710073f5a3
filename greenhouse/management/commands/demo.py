"""`manage.py demo`: Greenhouse with a sample experiment and simulated visitors, to watch the bandit at work."""

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from experiments.demo import evolving
from experiments.demo.demonstration import (
    GOAL,
    Counted,
    DemonstrationFailed,
    hidden_rates,
    plant,
    progress,
    settle,
)
from experiments.demo.taste import Taste
from experiments.demo.visitors import Crowd, Goal, Interrupted, PageUnavailable, Sent, send
from experiments.models import Experiment
from experiments.reporting.share import share_url
from greenhouse.checks import refuse_faults
from greenhouse.house import CannotStart, Welcome, announce, page_answers, run, say, wait_until
from greenhouse.supervisor import ReleaseFailed, Supervisor

# Reviews are a minute apart in earnest; here they are to be watched.
PACE = {"REVIEW_EVERY_SECONDS": "3", "SHARES_CHANGE_EVERY_SECONDS": "3", "EVOLVE_EVERY_SECONDS": "3"}
DEFAULT_VISITORS = 20_000
DEFAULT_VARIANTS = 12
VISITS_SECONDS = 100.0  # thirty reviews of the shares
# Three generations take longer, and are seen best when they begin with few pages.
DEFAULT_EVOLVING_VISITORS = 40_000
DEFAULT_EVOLVING_VARIANTS = 8
EVOLVING_SECONDS = 220.0
FEWEST_PER_SECOND = 50.0
CONCURRENCY = 8
PROGRESS_SECONDS = 10.0
EVOLVING_LOOK_SECONDS = 4.0


def whole_number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise CommandError(f"{name} must be a whole number of at least 1, got {text!r}.")
    return int(text)


def is_evolving() -> bool:
    return os.environ.get("EVOLVE", "0") not in {"", "0"}


def visitors_wanted() -> int:
    return whole_number("VISITORS", DEFAULT_EVOLVING_VISITORS if is_evolving() else DEFAULT_VISITORS)


def variants_wanted() -> int:
    return whole_number("VARIANTS", DEFAULT_EVOLVING_VARIANTS if is_evolving() else DEFAULT_VARIANTS)


def demonstrate(welcome: Welcome, supervisor: Supervisor) -> None:
    try:
        show(welcome, supervisor)
    except Interrupted:
        return
    finally:
        connection.close()


def show(welcome: Welcome, supervisor: Supervisor) -> None:
    if not (settings.ENVIRONMENT.openai_api_key or settings.ENVIRONMENT.openai_base_url):
        say("OPENAI_API_KEY is not set: the offline twin writes the pages, from formulas rather than by a model.")
    user = User.objects.get(username=welcome.username)
    experiment = plant(by=user, variants=variants_wanted(), say=say, stopping=supervisor.stopping)
    path = f"/p/{experiment.slug}/"
    wait_until("the page", lambda: page_answers(settings.ENVIRONMENT.port, f"{path}thanks"), supervisor)
    page, report = f"{welcome.url}{path}", share_url(experiment, by=user)
    announce("READY", {**asdict(welcome), "page": page, "report": report, "experiment_id": experiment.pk})
    if is_evolving():
        rates: Mapping[str, float] = Taste(experiment)
        evolving.begin(experiment, by=user)
    else:
        arms = list(experiment.arms.values_list("key", flat=True))
        control = experiment.arms.get(variant__is_control=True).key
        rates = hidden_rates(arms, control=control, seed=experiment.pk)
    sent = send_visitors(experiment, rates, user, supervisor.stopping)
    tell_settled(settle(experiment, sent, stopping=supervisor.stopping), dict(rates), sent)


def send_visitors(experiment: Experiment, rates: Mapping[str, float], by: User, stopping: threading.Event) -> Sent:
    visitors = visitors_wanted()
    sent, seconds = Sent(), EVOLVING_SECONDS if is_evolving() else VISITS_SECONDS
    crowd = Crowd(
        # Past any proxy: the visitors are on this machine.
        url=f"http://127.0.0.1:{settings.ENVIRONMENT.port}/p/{experiment.slug}/",
        visitors=visitors,
        rates=rates,
        goal=Goal(key=GOAL, kind="form"),
        seed=experiment.pk,
        concurrency=CONCURRENCY,
        visitors_per_second=max(FEWEST_PER_SECOND, visitors / seconds),
    )
    pace = f"{crowd.visitors_per_second:.0f} a second"
    say(f"{visitors:,} visitors come, {pace}; each page has a hidden rate of its own.")
    with ThreadPoolExecutor(1, "crowd") as executor:
        coming = executor.submit(send, crowd, sent, stopping=stopping)
        over = threading.Event()
        coming.add_done_callback(lambda _: over.set())
        while not over.wait(EVOLVING_LOOK_SECONDS if is_evolving() else PROGRESS_SECONDS):
            if is_evolving():
                tell_evolution(experiment, sent.visitors, visitors, by)
            else:
                say(progress(experiment, sent.visitors))
        coming.result()
    if is_evolving():
        evolving.stop(experiment, by=by, say=say)
    return sent


def tell_evolution(experiment: Experiment, visitors: int, expected: int, by: User) -> None:
    experiment.evolution.refresh_from_db()
    evolving.keep_going(experiment, part=visitors / expected, by=by, say=say)
    say(f"{progress(experiment, visitors)}. {evolving.told(experiment)}")


def tell_settled(result: Counted, rates: dict[str, float], sent: Sent) -> None:
    best = max(rates, key=lambda arm: rates[arm])
    if visits := sum(counts["exposures"] for counts in result.others.values()):
        say("1 visit of yours is counted too." if visits == 1 else f"{visits:,} visits of yours are counted too.")
    if not result.agrees:
        say("What was sent and what was counted differ; see SETTLED.")
    announce(
        "SETTLED",
        {
            "sent": result.sent,
            "others": result.others,
            "counted": result.counted,
            "rates": rates,
            "shares": result.shares,
            "best": best,
            "unanswered": {
                "pages": result.unanswered_pages,
                "of_these_counted": result.unanswered_but_counted,
                "conversions_sent_again": sent.repeated,
            },
        },
    )
    say(
        f"{best} has the highest hidden rate, {rates[best]:.1%}, and gets {result.shares.get(best, 0):.0%} of visitors."
    )
    say("That truth is known only here; the report has to find it out from the visits, and says now:")
    say(result.verdict)
    say("No more visitors are sent. Look around; Ctrl-C stops everything.")


class Command(BaseCommand):
    help = "Start everything with a sample experiment and simulated visitors (PORT, VISITORS, VARIANTS, EVOLVE)."
    requires_system_checks = ()

    def handle(self, *_args: object, **_options: object) -> None:
        for name, seconds in PACE.items():
            os.environ.setdefault(name, seconds)
        refuse_faults()
        visitors_wanted()
        variants_wanted()
        try:
            run(demonstrate)
        except (CannotStart, ReleaseFailed, DemonstrationFailed, PageUnavailable) as error:
            raise CommandError(str(error)) from error
