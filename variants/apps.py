"""Gives the app the name that the console's breadcrumbs show."""

from django.apps import AppConfig


class VariantsConfig(AppConfig):
    name = "variants"
    verbose_name = "Greenhouse"
