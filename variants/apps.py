"""Gives the app the name that the console's breadcrumbs show, and has every saved brief looked after."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save


class VariantsConfig(AppConfig):
    name = "variants"
    verbose_name = "Greenhouse"

    def ready(self) -> None:
        post_save.connect(_hold, sender="variants.Brief", dispatch_uid="hold variants against their brief")


def _hold(instance: Any, *, created: bool, **_signal: object) -> None:
    """Have the variants of a brief held against it, whoever saved it: console, API, or what is added later."""
    # Here alone: no model may be imported before all apps are loaded.
    from variants import recheck  # noqa: PLC0415

    if not created:
        recheck.request(instance)
