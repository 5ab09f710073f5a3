"""Send what the outbox holds, at least once, each message under an id that stays.

A delivery is claimed by moving its next attempt into the future with a conditional UPDATE, so two workers never send
the same one at once, and one that dies leaves it to the next attempt. What goes wrong is tried again, later and later,
until NOTIFY_GIVE_UP_DAYS have passed. A destination that took nothing for as long is switched off, and the console says
so.
"""

import json
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from smtplib import SMTPException
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage
from django.urls import reverse
from django.utils import timezone

from experiments import webhooks
from experiments.models import Delivery, Destination, Notice
from variants.page_import import Guard, PageNotFetched, is_allowed, is_public, post

logger = logging.getLogger(__name__)

Kind = Destination.Kind
AT_ONCE: Final = 8  # sent side by side in one pass
SEND_SECONDS: Final = 8.0  # for one attempt
CLAIM: Final = timedelta(seconds=60)  # longer than an attempt: what is not settled by then is tried again
# After the first, second … attempt that failed; from then on once a day. As the specification advises.
WAITS: Final = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400)
DAY_SECONDS: Final = 86_400
JITTER: Final = 0.2  # of a wait, by the message's own id: those that failed together do not come back together
SUBJECTS: Final = {
    Notice.Topic.DECISION: "waits for your decision",
    Notice.Topic.WINNER: "a variant is better",
    Notice.Topic.UNHEALTHY: "something is wrong",
    Notice.Topic.BUDGET: "the budget is spent",
    Notice.Topic.SCHEDULE: "the plan",
    Notice.Topic.DIGEST: "the week in short",
    Notice.Topic.TEST: "a test",
}


class NotSent(Exception):
    """The message did not arrive; `is_for_good` if the other end wants no more of them."""

    def __init__(self, reason: str, *, is_for_good: bool = False) -> None:
        super().__init__(reason)
        self.is_for_good = is_for_good


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A delivery with all that is needed to send it: threads that send do not touch the database."""

    delivery: Delivery
    subject: str
    text: str
    url: str
    topic: str
    experiment: Mapping[str, Any] | None
    told_at: datetime


def deliver() -> int:
    """Send what is due. Return how many messages were tried."""
    now = timezone.now()
    claimed = _claim(now)
    if not claimed:
        return 0
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        outcomes = list(pool.map(_attempt, map(_message, claimed)))
    for delivery, outcome in zip(claimed, outcomes, strict=True):
        _settle(delivery, outcome, timezone.now())
    return len(claimed)


def deliver_one(delivery: Delivery) -> str:
    """Send one message now, as a test does; return what went wrong, empty if nothing."""
    outcome = _attempt(_message(delivery))
    Delivery.objects.filter(pk=delivery.pk).update(attempts=1)
    if outcome is None:
        _settle(delivery, None, timezone.now())
        return ""
    Delivery.objects.filter(pk=delivery.pk).update(status=Delivery.Status.GIVEN_UP, error=str(outcome)[:200])
    return str(outcome)


def _claim(now: datetime) -> list[Delivery]:
    waiting = Delivery.objects.filter(status=Delivery.Status.WAITING, next_at__lte=now, destination__is_on=True)
    due = waiting.select_related("notice__experiment", "destination").order_by("next_at")[:AT_ONCE]
    mine = []
    for delivery in due:
        unclaimed = Delivery.objects.filter(
            pk=delivery.pk, status=Delivery.Status.WAITING, attempts=delivery.attempts, next_at=delivery.next_at
        )
        delivery.attempts += 1
        if unclaimed.update(next_at=now + CLAIM, attempts=delivery.attempts):
            mine.append(delivery)
    return mine


def _message(delivery: Delivery) -> Message:
    notice, experiment = delivery.notice, delivery.notice.experiment
    about = experiment.name if experiment else "Greenhouse"
    page = reverse("admin:experiments_experiment_workbench", args=[experiment.pk]) if experiment else "/console/"
    return Message(
        delivery=delivery,
        subject=f"{about}: {SUBJECTS[Notice.Topic(notice.topic)]}",
        text=notice.text,
        url=f"{settings.PUBLIC_URL}{page}",
        topic=notice.topic,
        experiment={"id": experiment.pk, "name": experiment.name, "slug": experiment.slug} if experiment else None,
        told_at=notice.created_at,
    )


# --- sending --------------------------------------------------------------------------------------------------------


def _attempt(message: Message) -> NotSent | None:
    destination = message.delivery.destination
    try:
        if destination.kind == Kind.EMAIL:
            _mail(message, destination)
        else:
            _post(message, destination)
    except NotSent as error:
        return error
    return None


def _mail(message: Message, destination: Destination) -> None:
    if not settings.CAN_MAIL:
        raise NotSent("No mail server is set up (EMAIL_URL).")
    domain = urlsplit(settings.PUBLIC_URL).hostname or "localhost"
    mail = EmailMessage(
        subject=" ".join(message.subject.split()),
        body=f"{message.text}\n\n{message.url}\n",
        to=[destination.address],
        headers={
            # The same at each attempt: mail programs show a message that arrives twice once.
            "Message-ID": f"<{message.delivery.message_id}@{domain}>",
            "Auto-Submitted": "auto-generated",
        },
    )
    try:
        mail.send()
    except (SMTPException, OSError, ValueError) as error:
        logger.warning("no mail to destination %d: %s", destination.pk, type(error).__name__)
        raise NotSent("The mail server did not take it.") from error


def _post(message: Message, destination: Destination) -> None:
    body = json.dumps(_payload(message, destination), ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "Greenhouse"}
    if destination.kind == Kind.WEBHOOK:
        seconds = int(timezone.now().timestamp())
        headers |= webhooks.headers(keys_of(destination), message.delivery.message_id, seconds, body)
    try:
        status = post(destination.address, body, headers, guard())
    except PageNotFetched as error:
        raise NotSent(error.reason) from error
    if status == HTTPStatus.GONE:
        raise NotSent("The other end wants no more messages (it says it is gone).", is_for_good=True)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise NotSent(f"The other end did not take it (it answered {status}).")


def _payload(message: Message, destination: Destination) -> dict[str, Any]:
    if destination.kind == Kind.SLACK:
        return {"text": f"*{_slack(message.subject)}*\n{_slack(message.text)}\n<{message.url}|Open it>"}
    return {
        "type": f"experiment.{message.topic}" if message.experiment else f"greenhouse.{message.topic}",
        "timestamp": message.told_at.isoformat(),
        "data": {"text": message.text, "url": message.url, "experiment": message.experiment},
    }


def _slack(text: str) -> str:
    """Escape what Slack reads as a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def keys_of(destination: Destination) -> list[str]:
    """Return the secrets that messages are signed with: while one is being changed, both."""
    until = destination.old_secret_until
    old = [destination.old_secret] if destination.old_secret and until and until > timezone.now() else []
    return [destination.secret, *old]


def guard() -> Guard:
    """Return what messages may reach: the public internet, and our own network where an operator allows it."""
    reach = is_allowed if settings.NOTIFY_PRIVATE_ADDRESSES else is_public
    return Guard(may_reach=reach, seconds=SEND_SECONDS)


# --- what became of it ----------------------------------------------------------------------------------------------


def _settle(delivery: Delivery, outcome: NotSent | None, now: datetime) -> None:
    destination = Destination.objects.filter(pk=delivery.destination_id)
    mine = Delivery.objects.filter(pk=delivery.pk)
    if outcome is None:
        mine.update(status=Delivery.Status.SENT, sent_at=now, error="")
        destination.update(failing_since=None, last_error="")
        return
    logger.info("message %s did not arrive: %s", delivery.message_id, outcome)
    mine.update(next_at=now + _wait(delivery), error=str(outcome)[:200])
    destination.update(last_error=str(outcome)[:200])
    destination.filter(failing_since__isnull=True).update(failing_since=now)
    patience = timedelta(days=settings.NOTIFY_GIVE_UP_DAYS)
    if delivery.created_at <= now - patience:
        mine.update(status=Delivery.Status.GIVEN_UP)
    dead = destination if outcome.is_for_good else destination.filter(failing_since__lte=now - patience)
    if dead.filter(is_on=True).update(is_on=False, switched_off_at=now):
        logger.warning("destination %d is switched off: %s", delivery.destination_id, outcome)
        Delivery.objects.filter(destination=delivery.destination_id, status=Delivery.Status.WAITING).update(
            status=Delivery.Status.GIVEN_UP
        )


def _wait(delivery: Delivery) -> timedelta:
    done = delivery.attempts - 1
    seconds = WAITS[done] if done < len(WAITS) else DAY_SECONDS
    part = int(delivery.message_id[-2:], 16) / 255
    return timedelta(seconds=seconds * (1 + JITTER * part))
