"""Turn an assignment into a signed text and back: the cookie a visitor keeps, the token a server may report with.

    visitor.experiment.arm.epoch.exposed_ms.signature

Cookie and token differ in what they are signed for, so neither passes for the other. Whatever is malformed, altered or
signed with another key reads as None: to the visitor tier that is a visitor without a cookie.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

COOKIE_PURPOSE = b"gh-cookie"
PENDING_PURPOSE = b"gh-pending"  # of a cookie whose visitor may not have seen the page yet: nothing is counted so far
TOKEN_PURPOSE = b"gh-token"

OUTSIDE = "-"  # in place of an arm: outside the experiment's traffic share
SIGNATURE_BYTES = 18  # 144 bits, and a multiple of three: base64 without padding
MAX_LENGTH = 300  # longer than any text we sign
MAX_DIGITS = 18  # of a number that the database can look up

# A browser keeps several cookies of one name if they were set for several paths; more than this is an attack.
MAX_CANDIDATES = 4
MAX_HEADER = 16_384  # characters looked at; browsers and servers give up at half of it


class Assignment(NamedTuple):
    """Who was given which arm, when, under which allocation.

    Optimization: a tuple, because a frozen dataclass takes three times as long to make.
    """

    visitor: str  # 32 hex digits
    experiment: int
    arm: str
    epoch: int
    exposed_ms: int

    @property
    def is_counted(self) -> bool:
        """Tell whether the visitor is inside the experiment's traffic share."""
        return self.arm != OUTSIDE


class Signer:
    """Signs with the first key, accepts all of them, so that keys can be replaced without forgetting visitors."""

    def __init__(self, secret_key: str, *, fallbacks: Sequence[str] = (), purpose: bytes) -> None:
        # Optimization: a keyed hash is prepared once and copied for each signature.
        self._hashes = [_keyed_hash(key, purpose) for key in (secret_key, *fallbacks)]

    def sign(self, assignment: Assignment) -> str:
        """Give the signed text."""
        a = assignment
        payload = f"{a.visitor}.{a.experiment}.{a.arm}.{a.epoch}.{a.exposed_ms}"
        return f"{payload}.{_signature(self._hashes[0], payload)}"

    def read(self, text: str) -> Assignment | None:
        """Give the assignment that was signed, or None for anything we did not sign."""
        if len(text) > MAX_LENGTH or not text.isascii():
            return None
        payload, _, signature = text.rpartition(".")
        if not self._is_ours(payload, signature):
            return None
        # What bears our signature has the form that `sign` gave it.
        visitor, experiment, arm, epoch, exposed_ms = payload.split(".")
        return Assignment(visitor, int(experiment), arm, int(epoch), int(exposed_ms))

    def _is_ours(self, payload: str, signature: str) -> bool:
        # Optimization: the key that signs is asked by itself; setting up the loop takes half as long as one signature.
        if compare_digest(_signature(self._hashes[0], payload), signature):
            return True
        return any(compare_digest(_signature(keyed, payload), signature) for keyed in self._hashes[1:])


def claimed_experiment(text: str) -> int:
    """Give the experiment that a text we did not sign claims to be of, or 0."""
    parts = text[:MAX_LENGTH].split(".", 2)
    claimed = parts[1][:MAX_DIGITS] if len(parts) > 1 else ""
    return int(claimed) if claimed.isascii() and claimed.isdigit() else 0


def cookie_name(experiment: int) -> str:
    """Give the name of an experiment's cookie."""
    return f"gh_{experiment}"


def cookie_values(header: str, name: str) -> list[str]:
    """Give the values of the cookies called `name` in a Cookie header, at most MAX_CANDIDATES."""
    # Optimization: the header is cut at the name and not at each semicolon, of which a hostile one has thousands.
    before, *pieces = header[:MAX_HEADER].split(f"{name}=", MAX_CANDIDATES)
    values = []
    for piece in pieces:
        if not before or before.rstrip().endswith(";"):
            values.append(piece.partition(";")[0].strip())
        before = piece or "="
    return values


def _keyed_hash(secret_key: str, purpose: bytes) -> "blake2b":
    # blake2b takes at most 64 bytes of key, so the secret, of whatever length, is hashed down to one first.
    key = blake2b(secret_key.encode(), digest_size=32, person=b"gh-key").digest()
    return blake2b(key=key, digest_size=SIGNATURE_BYTES, person=purpose)


def _signature(keyed: "blake2b", payload: str) -> str:
    signing = keyed.copy()
    signing.update(payload.encode("ascii"))
    return urlsafe_b64encode(signing.digest()).decode("ascii")
