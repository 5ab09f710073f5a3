"""Background work of variants: each task loads nothing itself, calls one function and answers nothing."""

from celery import shared_task

from variants import generation, lease, ledger, recheck

LONGEST_SECONDS = (
    int(generation.LONGEST_RUN.total_seconds()) + 180
)  # run() stops asking by itself and drains before this
HOLD_EXPIRES_SECONDS = 60  # overtaken by the next hold_all


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


@shared_task(ignore_result=True, acks_late=True, time_limit=120)
def hold(brief_id: int) -> None:
    """Hold a brief's variants against it. What a pass does not come to, the next one does."""
    if recheck.hold(brief_id):
        hold.delay(brief_id)


@shared_task(ignore_result=True, time_limit=120)
def hold_all() -> None:
    """Hold what changed without its brief being saved: brands, pictures, and what a lost task left."""
    for brief_id in recheck.due():
        hold.apply_async((brief_id,), expires=HOLD_EXPIRES_SECONDS)
