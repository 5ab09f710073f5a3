"""The process's connection to the store between the visitor tier and the rest."""

from functools import cache

from django.conf import settings

from experiments.splitter.stores import RedisStore, Store


@cache
def store() -> Store:
    """Return the one store of this process; its connections are opened when first used."""
    return RedisStore(settings.ENVIRONMENT.store_url or settings.REDIS_URL)
