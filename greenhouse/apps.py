"""Completes Django's start: the Celery application and the checks of the environment."""

from django.apps import AppConfig


class GreenhouseConfig(AppConfig):
    name = "greenhouse"

    def ready(self) -> None:
        # Here rather than in greenhouse/__init__.py, where it would load Django before the visitor tier answers.
        import greenhouse.celery  # noqa: PLC0415 - makes our Celery application the current one
        import greenhouse.checks  # noqa: F401, PLC0415 - importing registers the checks, which needs loaded apps
