"""Where people set who is told of what: by e-mail, in a chat, or by a signed message to a program of theirs.

One page for the house and one for each experiment. Addresses of webhooks are secrets, so the pages take the permission
to change them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.validators import validate_email
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from experiments import deeds, delivering, outbox, webhooks
from experiments.console.overview import notifications_url
from experiments.console.views import View, user_of
from experiments.models import Delivery, Destination, Experiment, Notice
from variants.page_import import NOT_PLAIN, is_plain

PERMISSION: Final = "experiments.change_destination"
BOTH_SECRETS: Final = timedelta(hours=24)
TEST: Final = "This is a test from Greenhouse. If you read it, notifications arrive here."
TOPICS: Final = [(topic.value, topic.label) for topic in outbox.TOLD]
USUAL: Final = [topic.value for topic in outbox.TOLD]
Kind = Destination.Kind


class DestinationForm(forms.ModelForm[Destination]):
    """A new destination."""

    topics = forms.MultipleChoiceField(
        label="Tell it of",
        choices=TOPICS,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Tick at least one thing to be told of."},
    )

    class Meta:
        model = Destination
        fields = ("kind", "address", "topics")
        labels = {"kind": "How", "address": "Where"}
        help_texts = {"address": "An e-mail address, or the web address that Slack or your program gave you."}
        error_messages = {"address": {"required": "Say where to: an e-mail address or a web address."}}
        widgets = {"address": forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})}

    def __init__(self, *values: Any, experiment: Experiment | None, **more: Any) -> None:
        super().__init__(*values, **more)
        if experiment is not None:
            self.fields["topics"].choices = [  # type: ignore[attr-defined]
                (topic, label) for topic, label in TOPICS if topic not in outbox.OF_THE_HOUSE
            ]

    def clean(self) -> dict[str, Any]:
        """See that the address is one of its kind."""
        found = super().clean() or {}
        kind, address = found.get("kind"), (found.get("address") or "").strip()
        if kind and address:
            fault = _mail_fault(address) if kind == Kind.EMAIL else _web_fault(address)
            if fault:
                self.add_error("address", fault)
        return {**found, "address": address}


def _mail_fault(address: str) -> str:
    try:
        validate_email(address)
    except ValidationError:
        return "This is not an e-mail address, such as ada@example.com."
    if not settings.CAN_MAIL:
        return "E-mail cannot be sent yet: an administrator has to set EMAIL_URL first."
    return ""


def _web_fault(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, scheme = parts.hostname, parts.scheme
    except ValueError:
        host, scheme = None, ""
    if not host or scheme not in {"http", "https"}:
        return "Give a web address, starting with https://."
    if not _is_plain(host):
        return f"“{host}” {NOT_PLAIN}"
    if parts.username is not None or parts.password is not None:
        return (
            "Leave out the user name and the password before the @: they are not sent. A secret may stand in the path."
        )
    if scheme == "http" and not settings.NOTIFY_PRIVATE_ADDRESSES:
        return "Give an address that starts with https://, so that nobody on the way can read the messages."
    return ""


def _is_plain(host: str) -> bool:
    try:
        return is_plain(host.encode("idna").decode("ascii"))
    except UnicodeError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A destination as the page shows it."""

    destination: Destination
    topics: str
    state: str
    is_well: bool
    secret: str
    both_until: datetime | None


def _row(destination: Destination, last: datetime | None) -> Row:
    labels = dict(TOPICS)
    named = [labels[topic] for topic in destination.topics if topic in labels]
    until = destination.old_secret_until
    return Row(
        destination=destination,
        topics="everything" if len(named) == len(TOPICS) else ", ".join(named).lower(),
        state=_state(destination, last),
        is_well=destination.is_on and destination.failing_since is None,
        secret=destination.secret,
        both_until=until if until and until > timezone.now() else None,
    )


def _state(destination: Destination, last: datetime | None) -> str:
    if destination.switched_off_at:
        return f"Switched off, because nothing arrived for days. {destination.last_error}"
    if not destination.is_on:
        return "Switched off."
    if destination.failing_since:
        return f"Does not arrive at the moment; it is tried again by itself. {destination.last_error}"
    if last:
        return f"Last message arrived {last.day} {last:%B, %H:%M} UTC."
    is_young = destination.created_at > timezone.now() - outbox.NOTICES_KEPT
    return "Nothing was sent yet." if is_young else f"Nothing was sent for {outbox.NOTICES_KEPT.days} days."


# --- the page -------------------------------------------------------------------------------------------------------


def _opens(view: View) -> View:
    """Answer 403 without the permission, then load the experiment that the page is about, if any."""

    @wraps(view)
    def guarded(request: HttpRequest, pk: int | None = None, **place: int) -> HttpResponse:
        if not request.user.has_perm(PERMISSION):
            raise PermissionDenied
        experiment = get_object_or_404(Experiment, pk=pk) if pk is not None else None
        return view(request, experiment, **place)

    return guarded


@require_http_methods(["GET", "POST"])
@_opens
def show(request: HttpRequest, experiment: Experiment | None) -> HttpResponse:
    """Show who is told, and take in one more."""
    posted = request.POST if request.method == "POST" else None
    form = DestinationForm(posted, experiment=experiment, initial={"topics": USUAL})
    if form.is_bound and form.is_valid():
        _add(request, experiment, form)
        return HttpResponseRedirect(notifications_url(experiment))
    found = Destination.objects.filter(experiment=experiment)
    last = dict(
        Delivery.objects.filter(destination__in=found, status=Delivery.Status.SENT)
        .order_by()
        .values_list("destination")
        .annotate(Max("sent_at"))
    )
    context = {
        **admin.site.each_context(request),
        "title": "Notifications",
        "experiment": experiment,
        "form": form,
        "rows": [_row(destination, last.get(destination.pk)) for destination in found],
        "house": Destination.objects.filter(experiment=None, is_on=True).count() if experiment else 0,
        "house_url": notifications_url(None),
        "here": notifications_url(experiment),
    }
    return render(request, "console/notifications.html", context)


def _add(request: HttpRequest, experiment: Experiment | None, form: DestinationForm) -> None:
    made = form.save(commit=False)
    made.experiment, made.created_by, made.topics = experiment, user_of(request), form.cleaned_data["topics"]
    made.secret = webhooks.new_secret() if made.kind == Kind.WEBHOOK else ""
    made.save()
    _record(request, made, f"Let notifications go to {_kind(made)}.")
    messages.success(request, "Saved. Send a test to see that it arrives.")


def _where(destination: Destination) -> str:
    """Return the part of an address that is no secret to those who may set notifications."""
    is_mail = destination.kind == Kind.EMAIL
    return destination.address if is_mail else urlsplit(destination.address).hostname or destination.address


def _named(destination: Destination) -> str:
    """Name a destination without the part of its address that is a secret."""
    where = _where(destination)
    return where if destination.kind == Kind.EMAIL else f"{destination.get_kind_display()} at {where}"


def _kind(destination: Destination) -> str:
    label = destination.get_kind_display()
    return f"{label[:1].lower()}{label[1:]}" if destination.kind != Kind.SLACK else label


def _record(request: HttpRequest, destination: Destination, what: str) -> None:
    told = [what, f"{deeds.WHERE}{_where(destination)}"]
    deeds.record(destination.experiment or destination, user_of(request), "\n".join(told))


# --- what can be done with one --------------------------------------------------------------------------------------


def _send_test(request: HttpRequest, destination: Destination) -> None:
    fault = delivering.deliver_one(outbox.tell_one(destination, Notice.Topic.TEST, TEST))
    if fault:
        messages.error(request, f"The test did not arrive. {fault}")
    else:
        messages.success(request, f"The test was taken by {_named(destination)}. Look whether you can see it there.")


def _switch(request: HttpRequest, destination: Destination) -> None:
    is_on = not destination.is_on
    Destination.objects.filter(pk=destination.pk).update(
        is_on=is_on, switched_off_at=None, failing_since=None, last_error=""
    )
    if not is_on:  # so that what waited does not come all at once when it is switched on again
        waiting = Delivery.objects.filter(destination=destination, status=Delivery.Status.WAITING)
        waiting.update(status=Delivery.Status.GIVEN_UP)
    _record(request, destination, f"Switched notifications to {_kind(destination)} {'on' if is_on else 'off'}.")
    messages.success(request, f"Notifications to {_named(destination)} are switched {'on' if is_on else 'off'}.")


def _renew_secret(request: HttpRequest, destination: Destination) -> None:
    Destination.objects.filter(pk=destination.pk).update(
        secret=webhooks.new_secret(), old_secret=destination.secret, old_secret_until=timezone.now() + BOTH_SECRETS
    )
    _record(request, destination, f"Made a new secret for {_kind(destination)}.")
    messages.success(request, "There is a new secret. For a day messages are signed with the old one as well.")


def _remove(request: HttpRequest, destination: Destination) -> None:
    _record(request, destination, f"Took {_kind(destination)} off the notifications.")
    messages.success(request, f"{_named(destination)} is told of nothing any more.")
    destination.delete()


ACTS: Final[dict[str, Callable[[HttpRequest, Destination], None]]] = {
    "test": _send_test, "switch": _switch, "secret": _renew_secret, "remove": _remove,
}  # fmt: skip


@require_POST
@_opens
def act(request: HttpRequest, experiment: Experiment | None, destination_pk: int) -> HttpResponse:
    """Test a destination, switch it on or off, give it a new secret, or take it away."""
    destination = get_object_or_404(Destination, pk=destination_pk, experiment=experiment)
    name = request.POST.get("act", "")
    if name not in ACTS or (name == "secret" and destination.kind != Kind.WEBHOOK):
        messages.error(request, "Choose what to do with it.")
    else:
        ACTS[name](request, destination)
    return HttpResponseRedirect(notifications_url(experiment))


def urls(guard: Callable[[View], View]) -> list[URLPattern]:
    """Return the addresses of these pages."""
    views: list[tuple[str, View, str]] = [
        ("notifications/", show, "notifications"),
        ("notifications/<int:destination_pk>/", act, "destination"),
        ("<int:pk>/notifications/", show, "experiment_notifications"),
        ("<int:pk>/notifications/<int:destination_pk>/", act, "experiment_destination"),
    ]
    return [path(address, guard(view), name=f"experiments_{name}") for address, view, name in views]
