"""Notifications: told once for each cause, sent until they arrive, signed so that others can tell."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from django.core import mail
from django.db import transaction
from django.utils import timezone

from experiments import delivering, outbox, webhooks
from experiments.models import Delivery, Destination, Experiment, Notice
from tests.factories import make_running
from tests.receivers import Receiver, mail_server, receiver

pytestmark = pytest.mark.django_db

Topic = Notice.Topic
ALL = [topic.value for topic in Topic]


@pytest.fixture
def hook(settings: Any) -> Iterator[Receiver]:
    settings.NOTIFY_PRIVATE_ADDRESSES = True
    with receiver() as running:
        yield running


def webhook(address: str, **changes: Any) -> Destination:
    values = {"kind": "webhook", "address": address, "topics": ALL, "secret": webhooks.new_secret(), **changes}
    return Destination.objects.create(**values)


def tell(text: str = "Look.", **changes: Any) -> bool:
    values = {"topic": Topic.UNHEALTHY, "cause": "no visitors", **changes}
    return outbox.tell(values.pop("topic"), values.pop("cause"), text, **values)


def come_due() -> None:
    Delivery.objects.filter(status="waiting").update(next_at=timezone.now() - timedelta(seconds=1))


# --- once for each cause --------------------------------------------------------------------------------------------


def test_a_cause_is_told_once_while_it_lasts_and_again_when_it_comes_back_a_day_later():
    webhook("https://a.example/")
    told = [tell(), tell(), tell()]
    Notice.objects.update(ended_at=timezone.now() - timedelta(days=2))
    assert (told, tell(), Delivery.objects.count()) == ([True, False, False], True, 2)


def test_what_comes_and_goes_is_told_once_a_day():
    webhook("https://a.example/")
    tell()
    Notice.objects.update(ended_at=timezone.now() - timedelta(hours=2))
    assert not tell()
    assert (Delivery.objects.count(), Notice.objects.get().ended_at) == (1, None)


def test_what_is_rolled_back_is_told_to_nobody():
    webhook("https://a.example/")
    with transaction.atomic():
        tell()
        transaction.set_rollback(True)
    assert not Notice.objects.exists()
    assert not Delivery.objects.exists()


def test_a_destination_hears_of_its_experiment_and_its_topics_and_each_address_once():
    experiment, other = make_running(), make_running()
    webhook("https://house.example/")
    webhook("https://house.example/", experiment=experiment)  # twice the same address
    webhook("https://other.example/", experiment=other)
    webhook("https://budget.example/", topics=["budget"])
    webhook("https://off.example/", is_on=False)
    tell(experiment=experiment)
    assert [delivery.destination.address for delivery in Delivery.objects.all()] == ["https://house.example/"]


def test_keeping_ends_what_is_over_and_leaves_what_lasts():
    experiment = make_running()
    finding = outbox.Finding(topic=Topic.UNHEALTHY, text="Look.")
    outbox.keep([Topic.UNHEALTHY], {(experiment.pk, "a"): finding, (None, "b"): finding})
    outbox.keep([Topic.UNHEALTHY], {(None, "b"): finding})
    assert dict(Notice.objects.values_list("cause", "ended_at"))["b"] is None
    assert dict(Notice.objects.values_list("cause", "ended_at"))["a"] is not None


# --- signed webhooks ------------------------------------------------------------------------------------------------


def test_an_independent_library_accepts_what_was_sent(hook: Receiver):
    destination = webhook(hook.url)
    tell("Visitors are not split as planned.", experiment=make_running(name="Spring"))
    delivering.deliver()
    (got,) = hook.received
    payload = standardwebhooks.Webhook(destination.secret).verify(got.body, dict(got.headers))
    assert (payload["type"], payload["data"]["experiment"]["name"]) == ("experiment.unhealthy", "Spring")
    assert got.headers["webhook-id"] == Delivery.objects.get().message_id


def test_the_library_refuses_another_body_and_another_secret(hook: Receiver):
    destination = webhook(hook.url)
    tell()
    delivering.deliver()
    (got,) = hook.received
    for secret, body in ((destination.secret, got.body + b" "), (webhooks.new_secret(), got.body)):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(secret).verify(body, dict(got.headers))


def test_while_a_secret_is_changed_both_verify_and_later_only_the_new_one(hook: Receiver):
    old = webhooks.new_secret()
    destination = webhook(hook.url, old_secret=old, old_secret_until=timezone.now() + timedelta(hours=1))
    tell()
    delivering.deliver()
    for secret in (old, destination.secret):
        standardwebhooks.Webhook(secret).verify(hook.received[0].body, dict(hook.received[0].headers))
    Destination.objects.update(old_secret_until=timezone.now())
    tell(cause="another")
    delivering.deliver()
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(old).verify(hook.received[1].body, dict(hook.received[1].headers))


def test_the_signature_is_that_of_the_specifications_own_example():
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md and its libraries
    secret, message_id, timestamp = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
    signed = webhooks.signature(secret, message_id, timestamp, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


# --- until it arrives -----------------------------------------------------------------------------------------------


def test_what_fails_is_sent_again_under_the_same_id_and_not_once_it_has_arrived(hook: Receiver):
    hook.statuses = [500, 503, 200]
    webhook(hook.url)
    tell()
    for _ in range(5):
        delivering.deliver()
        come_due()
    assert len(hook.received) == 3
    assert len({got.headers["webhook-id"] for got in hook.received}) == 1
    delivery = Delivery.objects.get()
    assert (delivery.status, delivery.attempts, delivery.destination.failing_since) == ("sent", 3, None)


def test_each_attempt_waits_longer_than_the_one_before(hook: Receiver):
    hook.statuses = [500]
    webhook(hook.url)
    tell()
    waits = []
    for _ in range(4):
        before = timezone.now()
        delivering.deliver()
        waits.append((Delivery.objects.get().next_at - before).total_seconds())
        come_due()
    assert all(earlier * 2 < later for earlier, later in pairwise(waits))
    assert waits[0] > 3


def test_a_worker_that_died_after_claiming_leaves_the_message_to_the_next(hook: Receiver):
    webhook(hook.url)
    tell()
    delivering._claim(timezone.now())
    assert delivering.deliver() == 0  # somebody holds it
    Delivery.objects.update(next_at=timezone.now())
    assert (delivering.deliver(), len(hook.received)) == (1, 1)


def test_a_redirect_is_not_followed(hook: Receiver):
    hook.statuses, hook.location = [302], f"{hook.url}/elsewhere"
    webhook(hook.url)
    tell()
    delivering.deliver()
    assert [got.path for got in hook.received] == ["/hook"]
    assert Delivery.objects.get().status == "waiting"


def test_a_private_address_is_not_connected_to_unless_an_operator_allows_it(hook: Receiver, settings: Any):
    settings.NOTIFY_PRIVATE_ADDRESSES = False
    webhook(hook.url)
    tell()
    delivering.deliver()
    assert hook.received == []
    assert "not on the public internet" in Delivery.objects.get().error


def test_the_cloud_s_own_address_is_never_allowed(settings: Any):
    settings.NOTIFY_PRIVATE_ADDRESSES = True
    webhook("http://169.254.169.254/latest/")
    tell()
    delivering.deliver()
    assert "not on the public internet" in Delivery.objects.get().error


def test_a_destination_that_takes_nothing_for_days_is_switched_off_and_one_success_saves_it(hook: Receiver):
    hook.statuses = [500]
    webhook(hook.url, failing_since=timezone.now() - timedelta(days=6))
    tell()
    delivering.deliver()
    destination = Destination.objects.get()
    assert (destination.is_on, destination.switched_off_at is not None) == (False, True)
    assert Delivery.objects.get().status == "given up"


def test_who_says_gone_is_switched_off_at_once(hook: Receiver):
    hook.statuses = [410]
    webhook(hook.url)
    tell()
    delivering.deliver()
    assert not Destination.objects.get().is_on


def test_one_that_hangs_holds_up_no_other(hook: Receiver, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivering, "SEND_SECONDS", 3.0)
    with receiver() as slow:
        slow.wait_seconds = 20.0
        webhook(slow.url)
        webhook(hook.url)
        tell()
        delivering.deliver()
    assert len(hook.received) == 1
    assert sorted(Delivery.objects.values_list("status", flat=True)) == ["sent", "waiting"]


# --- e-mail and chat ------------------------------------------------------------------------------------------------


def test_slack_gets_words_in_which_nothing_is_a_link_or_a_mention(hook: Receiver):
    webhook(hook.url, kind="slack")
    tell("<!channel> & <https://evil.example|click>", experiment=make_running())
    delivering.deliver()
    (got,) = hook.received
    text = json.loads(got.body)["text"]
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in text
    assert "webhook-signature" not in got.headers


def test_mail_says_what_and_where_and_bears_one_id_at_each_attempt(settings: Any):
    settings.CAN_MAIL = True
    Destination.objects.create(kind="email", address="ada@example.com", topics=ALL)
    experiment = make_running(name="Spring\r\nBcc: all@example.com")
    tell("The budget is spent.", topic=Topic.BUDGET, experiment=experiment)
    delivering.deliver()
    (message,) = mail.outbox
    assert message.to == ["ada@example.com"]
    assert message.subject == "Spring Bcc: all@example.com: the budget is spent"
    assert f"/console/experiments/experiment/{experiment.pk}/" in str(message.body)
    assert Delivery.objects.get().message_id in message.extra_headers["Message-ID"]


def test_mail_reaches_a_real_server(settings: Any):
    settings.CAN_MAIL = True
    Destination.objects.create(kind="email", address="ada@example.com", topics=ALL)
    with mail_server() as (port, taken):
        options = {"host": "127.0.0.1", "port": port}
        backend = "django.core.mail.backends.smtp.EmailBackend"
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
        tell("The budget is spent.")
        delivering.deliver()
    assert b"The budget is spent." in taken[0]
    assert Delivery.objects.get().status == "sent"


def test_without_a_mail_server_the_destination_says_what_is_missing():
    Destination.objects.create(kind="email", address="ada@example.com", topics=ALL)
    tell()
    delivering.deliver()
    assert "EMAIL_URL" in Destination.objects.get().last_error


# --- against a corpus -----------------------------------------------------------------------------------------------


@pytest.mark.corpora
def test_our_signatures_are_those_of_the_corpus():
    folder = os.environ.get("CORPORA_DIR")
    if not folder:
        pytest.skip("CORPORA_DIR is not set")
    secret = json.loads((Path(folder) / "extra/webhooks_secret.json").read_text())["secret"]
    rows = [json.loads(line) for line in (Path(folder) / "extra/webhooks.jsonl").read_text().splitlines()]
    for row in (row for row in rows if row["expect"] == "accept"):
        sent = {name.lower(): value for name, value in row["headers"].items()}
        stamp = int(sent["webhook-timestamp"])
        assert webhooks.signature(secret, sent["webhook-id"], stamp, row["body"].encode()) in sent["webhook-signature"]


def test_a_house_notice_has_no_experiment(hook: Receiver):
    webhook(hook.url)
    tell(topic=Topic.DIGEST, cause="week 2026-48")
    delivering.deliver()
    payload = json.loads(hook.received[0].body)
    assert (payload["type"], payload["data"]["experiment"]) == ("greenhouse.digest", None)
    assert Experiment.objects.count() == 0
