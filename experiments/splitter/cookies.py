"""Turn an assignment into a signed text and back: the cookie a visitor keeps, the token a server may report with.

    visitor.experiment.arm.epoch.exposed_ms.signature

Cookie and token differ in what they are signed for, so neither passes for the other. Whatever is malformed, altered or
signed with another key reads as None: to the visitor tier that is a visitor without a cookie.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest

COOKIE_PURPOSE = b"gh-cookie"
TOKEN_PURPOSE = b"gh-token"

OUTSIDE = "-"  # in place of an arm: outside the experiment's traffic share
SIGNATURE_BYTES = 18  # 144 bits, and a multiple of three: base64 without padding
MAX_LENGTH = 300  # longer than any text we sign

# A browser keeps several cookies of one name if they were set for several paths; more than this is an attack.
MAX_CANDIDATES = 4

_SIGNED = re.compile(r"([0-9a-f]{32})\.([0-9]{1,18})\.([a-z0-9-]{1,100})\.([0-9]{1,18})\.([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who was given which arm, when, under which allocation."""

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
        match = _SIGNED.fullmatch(payload)
        if match is None or not self._is_ours(payload, signature):
            return None
        visitor, experiment, arm, epoch, exposed_ms = match.groups()
        return Assignment(
            visitor=visitor, experiment=int(experiment), arm=arm, epoch=int(epoch), exposed_ms=int(exposed_ms)
        )

    def _is_ours(self, payload: str, signature: str) -> bool:
        return any(compare_digest(_signature(keyed, payload), signature) for keyed in self._hashes)


def cookie_name(experiment: int) -> str:
    """Give the name of an experiment's cookie."""
    return f"gh_{experiment}"


def cookie_values(header: str, name: str) -> list[str]:
    """Give the values of the cookies called `name` in a Cookie header, at most MAX_CANDIDATES."""
    prefix = f"{name}="
    if prefix not in header:
        return []
    pairs = (pair.strip() for pair in header.split(";"))
    return [pair.removeprefix(prefix) for pair in pairs if pair.startswith(prefix)][:MAX_CANDIDATES]


def _keyed_hash(secret_key: str, purpose: bytes) -> "blake2b":
    # blake2b takes at most 64 bytes of key, so the secret, of whatever length, is hashed down to one first.
    key = blake2b(secret_key.encode(), digest_size=32, person=b"gh-key").digest()
    return blake2b(key=key, digest_size=SIGNATURE_BYTES, person=purpose)


def _signature(keyed: "blake2b", payload: str) -> str:
    signing = keyed.copy()
    signing.update(payload.encode("ascii"))
    return urlsafe_b64encode(signing.digest()).decode("ascii")
