"""A published experiment to test with: plain functions with defaults."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from experiments.splitter.stores import Blob, MemoryStore, Store

SLUG = "paperless"
CSP = "default-src 'self'; frame-ancestors 'self'"
DAY_SECONDS = 24 * 3600

EMAIL = {"name": "email", "label": "E-mail", "kind": "email", "required": True, "max_length": 60, "options": []}
SIZE = {"name": "size", "label": "Size", "kind": "select", "required": False, "max_length": 0, "options": ["S", "L"]}
TERMS = {"name": "terms", "label": "Terms", "kind": "checkbox", "required": False, "max_length": 0, "options": []}

FORM_PAGE = (
    b"<p>%s\0form_error\0</p><input value='\0value:email\0'><i>\0error:email\0</i>"
    b"<option\0selected:size:0\0>S<option\0selected:size:1\0>L<input type=checkbox\0checked:terms\0>"
)


def put(store: Store, identity: bytes, *, packed: bool = False, content_type: str = "text/html") -> str:
    """Put a blob and give its hash; `packed` adds bodies that stand for the compressed ones."""
    sha = sha256(identity).hexdigest()
    br, gzip = (b"br:" + identity, b"gz:" + identity) if packed else (None, None)
    store.put_blob(sha, Blob(identity=identity, br=br, gzip=gzip, content_type=content_type, csp=CSP))
    return sha


def arm(store: Store, key: str) -> dict[str, str]:
    """Put the three pages of an arm."""
    return {
        "page": put(store, f"<h1>{key}</h1>".encode(), packed=True),
        "form": put(store, FORM_PAGE % key.encode()),
        "thanks": put(store, f"<h1>thanks {key}</h1>".encode()),
    }


def document(store: Store, *, keys: tuple[str, ...] = ("control", "v2"), **changes: Any) -> dict[str, Any]:
    """Give a snapshot document whose blobs are in the store."""
    link = {"url": "https://shop.example/buy?plan=pro#top", "goals": ["click"], "token": False}
    base: dict[str, Any] = {
        "sequence": 1,
        "experiment": 12,
        "slug": SLUG,
        "status": "running",
        "salt": "5a17",
        "traffic_share": 1.0,
        "epoch": 3,
        "shares": {key: 1 / len(keys) for key in keys},
        "control": keys[0],
        "winner": None,
        "consent_required": False,
        "cookie_seconds": 90 * DAY_SECONDS,
        "arms": {key: arm(store, key) for key in keys},
        "goals": [
            {"key": "signup", "kind": "form", "window_seconds": 7 * DAY_SECONDS, "primary": True},
            {"key": "click", "kind": "click", "window_seconds": DAY_SECONDS, "primary": False},
            {"key": "scroll", "kind": "event", "window_seconds": DAY_SECONDS, "primary": False},
            {"key": "order", "kind": "revenue", "window_seconds": DAY_SECONDS, "primary": False},
        ],
        "links": {
            "cta": link,
            "partner": {"url": "https://partner.example/", "goals": [], "token": True},
            "call": {"url": "tel:+4930123", "goals": ["click"], "token": False},
            "form": {"url": "#form", "goals": ["click"], "token": False},
        },
        "form": {"goals": ["signup"], "fields": [EMAIL, SIZE, TERMS]},
        "images": {"leaf.png": put(store, b"\x89PNG leaf", content_type="image/png")},
    }
    return base | changes


def publish(store: Store, published: Mapping[str, Any]) -> None:
    """Publish a document under its own slug and sequence."""
    store.publish(published["slug"], published["sequence"], json.dumps(published))


def planted(**changes: Any) -> MemoryStore:
    """Give a store with one experiment in it."""
    store = MemoryStore()
    publish(store, document(store, **changes))
    return store
