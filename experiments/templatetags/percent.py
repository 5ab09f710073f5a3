"""Writes fractions as percentages: the one place of the console where shares and rates are multiplied by 100."""

from django import template

register = template.Library()


@register.filter
def percent(fraction: float | None) -> str:
    """Return "4.2%" for 0.042, and a dash for what is not known."""
    return "–" if fraction is None else f"{fraction:.1%}".replace(".0%", "%")
