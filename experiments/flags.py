"""Turn an app's targeting key into an arm, and what the app reports of its visitor into counts.

An app asks for an arm by a key of its own (a user's number, say) where a browser shows a cookie. So the assignment is
kept here: the first evaluation stores it, by a conditional insert, and every later one finds it, however shares change.
Evaluating is no exposure. The first report that the arm was shown is, and it is counted once: the row is marked and the
exposure counted in one transaction. It is credited to the epoch of the *assignment*, whose shares decided who got which
arm, and dated when it happened, so that windows are right (docs/decisions/0014).

Who is counted is decided as for pages (splitter/visits.py), by the same functions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from experiments import counting, deployment
from experiments.models import AppKey, Arm, Experiment, Goal, KeyedVisitor
from experiments.splitter import records
from experiments.splitter import tallies as kinds
from experiments.splitter.assignment import Split, numbers_of, salted_hash, split_of
from experiments.splitter.cookies import TOKEN_PURPOSE, Assignment, Signer
from experiments.splitter.visits import new_visitor

LONGEST_KEY: Final = 1000  # characters of a targeting key
PICTURES: Final = 256  # experiments whose arms one process keeps ready
SECRETS_DIFFER: Final = b"gh-target"
FINISHED: Final = "finished"
ATTEMPTS: Final = 3  # at an assignment that somebody deletes between writing and reading it


class Reason(StrEnum):
    """Why somebody gets what they get, in OpenFeature's words."""

    SPLIT = "SPLIT"  # assigned, and counted once shown
    DEFAULT = "DEFAULT"  # today's page for who is not counted: bots, outside the traffic share, without consent
    DISABLED = "DISABLED"  # today's page for all newcomers while paused, and for everyone once stopped
    STATIC = "STATIC"  # everyone gets the promoted arm


class TargetingKeyMissing(ValueError):
    """Nobody can be assigned without a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Whom an app asks for, as far as it says."""

    targeting_key: str = ""
    is_program: bool = False
    has_opted_out: bool = False
    has_consented: bool = False
    attributes: str = "{}"  # JSON, as splitter/attributes.py makes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What an app is told of an arm."""

    pk: int
    key: str
    is_control: bool
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The answer to "which arm?"."""

    slug: str
    choice: Choice
    reason: Reason
    visitor: KeyedVisitor | None = None  # who is counted

    @property
    def metadata(self) -> dict[str, Any]:
        """What analysts need beside the arm; the token is there once the exposure is counted."""
        facts: dict[str, Any] = {"isControl": self.choice.is_control, "isCounted": self.visitor is not None}
        if self.visitor is not None:
            facts |= {"epoch": self.visitor.epoch, "propensity": self.visitor.share}
            if self.visitor.exposed_at:
                facts["token"] = token_of(self.visitor, self.choice.key)
        return facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """What became of a report."""

    is_counted: bool
    why_not: str = ""  # a tally's kind
    token: str = ""  # for servers that report conversions later


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What evaluations of one published state have in common."""

    number: int
    slug: str
    salt: "blake2b"
    traffic_share: float
    epoch: int
    shares: Mapping[str, float]
    split: Split | None  # of newcomers; None when nobody is assigned
    consent_required: bool
    control: Choice
    choices: Mapping[str, Choice]
    everyone_gets: Evaluation | None


# --- what is asked for ----------------------------------------------------------------------------------------------


def key_of(text: str) -> AppKey | None:
    """Return the key an app shows, unless it was revoked."""
    return AppKey.objects.filter(key=text, revoked_at=None).first()


def experiments_of(key: AppKey) -> list[Experiment]:
    """Return what a key opens: its experiments that visitors can see."""
    return list(key.experiments.filter(deployment__isnull=False).order_by("slug"))


def picture_of(experiment: Experiment) -> Picture:
    """Return what an experiment's evaluations have in common, as published last."""
    return _picture(experiment.pk, experiment.sequence, experiment.salt)


@lru_cache(maxsize=PICTURES)
def _picture(pk: int, sequence: int, salt: str) -> Picture:
    # Optimization: every change that visitors could notice is published under a new sequence, so a picture stays true.
    experiment = Experiment.objects.select_related("deployment", "winner").get(pk=pk)
    document = deployment.snapshot(experiment)
    found = experiment.arms.select_related("variant").filter(key__in=document["arms"])
    choices = {arm.key: _choice(arm) for arm in found}
    is_running = document["status"] == Experiment.Status.RUNNING
    return Picture(
        number=pk,
        slug=experiment.slug,
        salt=salted_hash(salt),
        traffic_share=document["traffic_share"],
        epoch=document["epoch"],
        shares=document["shares"],
        split=split_of(document["shares"]) if is_running else None,
        consent_required=document["consent_required"],
        control=choices[document["control"]],
        choices=choices,
        everyone_gets=_everyone_gets(document, choices),
    )


def _choice(arm: Arm) -> Choice:
    variant = arm.variant
    value = {"arm": arm.key, "genes": variant.genes, "content": variant.content}
    return Choice(pk=arm.pk, key=arm.key, is_control=variant.is_control, value=value)


def _everyone_gets(document: Mapping[str, Any], choices: Mapping[str, Choice]) -> Evaluation | None:
    slug = str(document["slug"])
    if document["status"] == Experiment.Status.FINISHED:
        return Evaluation(slug=slug, choice=choices[document["control"]], reason=Reason.DISABLED)
    if document["status"] == Experiment.Status.PROMOTED:
        return Evaluation(slug=slug, choice=choices[document["winner"]], reason=Reason.STATIC)
    return None


def evaluate(experiment: Experiment, person: Person, *, now: datetime) -> Evaluation:
    """Return a person's arm; the first time, store it. Raise TargetingKeyMissing."""
    picture = picture_of(experiment)
    if picture.everyone_gets is not None:
        return picture.everyone_gets
    if _why_uncounted(picture, person):
        return Evaluation(slug=picture.slug, choice=picture.control, reason=Reason.DEFAULT)
    visitor = known_visitor(picture.number, person)
    if visitor is None and picture.split is None:
        return Evaluation(slug=picture.slug, choice=picture.control, reason=Reason.DISABLED)
    if visitor is None and picture.split is not None:
        visitor = _assigned(picture, picture.split, person, now)
    if visitor is None or visitor.arm is None:
        return Evaluation(slug=picture.slug, choice=picture.control, reason=Reason.DEFAULT)
    choice = picture.choices.get(visitor.arm.key, picture.control)
    return Evaluation(slug=picture.slug, choice=choice, reason=Reason.SPLIT, visitor=visitor)


def _why_uncounted(picture: Picture, person: Person) -> str:
    if person.is_program:
        return kinds.BOT
    if person.has_opted_out:
        return kinds.OPTED_OUT
    return kinds.NO_CONSENT if picture.consent_required and not person.has_consented else ""


# --- who asks -------------------------------------------------------------------------------------------------------


@cache
def _digest_keys() -> tuple[bytes, ...]:
    secrets = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return tuple(blake2b(secret.encode(), digest_size=32, person=b"gh-key").digest() for secret in secrets)


def digests_of(experiment: int, targeting_key: str) -> list[str]:
    """Return what is kept of a targeting key, by the present secret and by earlier ones.

    Keyed, because a user's number or e-mail address could be guessed from a plain digest; and by experiment, so that
    the table does not say who takes part in several.
    """
    # Half a surrogate pair is no character, but JSON can carry it, and two keys that differ must stay two.
    text = f"{experiment}\0{targeting_key}".encode("utf-8", "surrogatepass")
    return [blake2b(text, key=key, digest_size=32, person=SECRETS_DIFFER).hexdigest() for key in _digest_keys()]


def known_visitor(experiment: int, person: Person) -> KeyedVisitor | None:
    """Return the visitor a person is known as. Raise TargetingKeyMissing."""
    if not person.targeting_key:
        raise TargetingKeyMissing("Give the context a targetingKey: a text that stays the same for the same person.")
    digests = digests_of(experiment, person.targeting_key)
    return KeyedVisitor.objects.select_related("arm").filter(experiment=experiment, digest__in=digests).first()


def _assigned(picture: Picture, split: Split, person: Person, now: datetime) -> KeyedVisitor | None:
    """Store an assignment unless somebody was quicker, and return the one that is stored."""
    visitor = new_visitor()
    for_traffic, for_arm = numbers_of(visitor, picture.salt)
    arm = split.arm_at(for_arm) if for_traffic < picture.traffic_share else None
    row = KeyedVisitor(
        experiment_id=picture.number,
        digest=digests_of(picture.number, person.targeting_key)[0],
        visitor=visitor,
        arm_id=picture.choices[arm].pk if arm else None,
        epoch=picture.epoch,
        share=picture.shares[arm] if arm else 0.0,
        assigned_at=now,
    )
    for _ in range(ATTEMPTS):
        # Race: of evaluations at the same moment one inserts; the database makes the others wait and then ignores them.
        KeyedVisitor.objects.bulk_create([row], ignore_conflicts=True)
        found = known_visitor(picture.number, person)
        if found is not None:
            return found
    return None


# --- what is reported -----------------------------------------------------------------------------------------------


def expose(experiment: Experiment, person: Person, *, now: datetime) -> Tracked:
    """Count that a person has seen their arm: once, however often it is said. Raise TargetingKeyMissing."""
    picture = picture_of(experiment)
    reason = _why_uncounted(picture, person)
    if reason:
        return _left_out(picture, reason, now)
    visitor = known_visitor(picture.number, person)
    if visitor is None or visitor.arm is None:
        return _left_out(picture, kinds.UNATTRIBUTED, now)
    if visitor.exposed_at is None and picture.everyone_gets is not None:
        return Tracked(is_counted=False, why_not=FINISHED)  # nobody sees the arms any more
    shown = _exposed(visitor, visitor.arm, person, now)
    return Tracked(is_counted=True, token=token_of(shown, visitor.arm.key))


@transaction.atomic
def _exposed(visitor: KeyedVisitor, arm: Arm, person: Person, now: datetime) -> KeyedVisitor:
    """Mark a visitor as exposed and count it, or find that this was done before."""
    at = datetime.fromtimestamp(milliseconds(now) / 1000, UTC)  # as fine as a journal's times
    first = KeyedVisitor.objects.filter(pk=visitor.pk, exposed_at=None).update(exposed_at=at)
    visitor.refresh_from_db(fields=["exposed_at"])
    if first:
        counting.count_directly(
            records.ReadExposure(
                experiment=visitor.experiment_id,
                exposed_ms=milliseconds(at),
                visitor=visitor.visitor,
                arm=arm.key,
                epoch=visitor.epoch,
                attributes=person.attributes,
            )
        )
    return visitor


def convert(
    experiment: Experiment, person: Person, goal: Goal, *, value: float | None, event_id: str, now: datetime
) -> Tracked:
    """Count that a person who has seen their arm reached a goal. Raise TargetingKeyMissing."""
    picture = picture_of(experiment)
    reason = _why_uncounted(picture, person)
    if reason:
        return _left_out(picture, reason, now)
    visitor = known_visitor(picture.number, person)
    if visitor is None or visitor.arm is None or visitor.exposed_at is None:
        return _left_out(picture, kinds.TOO_SOON if visitor and visitor.arm else kinds.UNATTRIBUTED, now)
    counting.count_directly(
        records.Conversion(
            experiment=visitor.experiment_id,
            visitor=visitor.visitor,
            arm=visitor.arm.key,
            epoch=visitor.epoch,
            exposed_ms=milliseconds(visitor.exposed_at),
            goal=goal.key,
            at_ms=milliseconds(now),
            value=value,
            event_id=event_id if goal.kind == Goal.Kind.REVENUE else "",
        )
    )
    return Tracked(is_counted=True, token=token_of(visitor, visitor.arm.key))


def goals_called(experiments: Sequence[Experiment], key: str) -> list[Goal]:
    """Return the goals of that name, with their experiments."""
    return list(Goal.objects.filter(experiment__in=experiments, key=key).select_related("experiment"))


def forget(experiment: Experiment, person: Person, *, now: datetime) -> bool:
    """Delete what is kept of a person; tell whether there was anything. Raise TargetingKeyMissing."""
    visitor = known_visitor(experiment.pk, person)
    if visitor is None:
        return False
    exposed_at = visitor.exposed_at or visitor.assigned_at
    counting.count_directly(
        records.Forget(
            experiment=experiment.pk,
            visitor=visitor.visitor,
            exposed_ms=milliseconds(exposed_at),
            at_ms=milliseconds(now),
        )
    )
    return True


def _left_out(picture: Picture, kind: str, now: datetime) -> Tracked:
    """Add to what the report lists as left out. Evaluations add nothing to it: providers repeat them at will."""
    counting.count_directly(records.Tally(experiment=picture.number, at_ms=milliseconds(now), counts={kind: 1}))
    return Tracked(is_counted=False, why_not=kind)


def milliseconds(moment: datetime) -> int:
    """Return a time as journals write it."""
    return round(moment.timestamp() * 1000)


@cache
def _tokens() -> Signer:
    return Signer(settings.SECRET_KEY, fallbacks=settings.SECRET_KEY_FALLBACKS, purpose=TOKEN_PURPOSE)


def token_of(visitor: KeyedVisitor, arm: str) -> str:
    """Return the token by which another server may report an exposed visitor's conversion."""
    if visitor.exposed_at is None:
        raise ValueError("a token earns a conversion, which needs an exposure")
    exposed_ms = milliseconds(visitor.exposed_at)
    return _tokens().sign(Assignment(visitor.visitor, visitor.experiment_id, arm, visitor.epoch, exposed_ms))
