"""Signs messages by the Standard Webhooks specification 1.0.0 (standardwebhooks.com), so that any of its libraries can
tell that they are ours, unchanged and fresh.

    webhook-id         the same at each attempt
    webhook-timestamp  Unix seconds of this attempt
    webhook-signature  "v1," + base64(HMAC-SHA256(secret, id.timestamp.body)); several, apart by spaces, while a secret
                       is being changed
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32  # the specification asks for 24 to 64


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature of a message, with its version."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers(keys: Sequence[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return what a message is sent with; it is signed with each of `keys`."""
    signatures = [signature(key, message_id, timestamp, body) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
