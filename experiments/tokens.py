"""API tokens: only a digest is kept, so that a copy of the database lets nobody in."""

import secrets
from hashlib import sha256

TOKEN_BYTES = 32


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_digest(token: str) -> str:
    """Return what the database knows of a token. No salt: 256 random bits cannot be guessed from a table."""
    return sha256(token.encode()).hexdigest()
