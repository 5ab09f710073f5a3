"""Background work of variants: each task loads nothing itself, calls one function and answers nothing."""

from celery import shared_task

from variants import generation, lease, ledger

LONGEST_SECONDS = (
    int(generation.LONGEST_RUN.total_seconds()) + 180
)  # run() stops asking by itself and drains before this


@shared_task(ignore_result=True, acks_late=True, time_limit=LONGEST_SECONDS)
def generate(generation_id: int) -> None:
    """Grow the variants of one generation. Safe to run again: what is finished is kept."""
    generation.run(generation_id)


@shared_task(ignore_result=True, acks_late=True, time_limit=30)
def rescue() -> None:
    """Hand generations whose worker died to another one, and enter what nobody will settle any more."""
    for generation_id in lease.stalled():
        # Overtaken by the next rescue, so that a busy worker does not find a heap of these.
        generate.apply_async((generation_id,), expires=lease.LEASE.total_seconds())
    ledger.lose(ledger.orphans(silent_for=lease.LEASE))
