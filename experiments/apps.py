"""Gives the app the name that the console's breadcrumbs show."""

from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    name = "experiments"
    verbose_name = "Greenhouse"
