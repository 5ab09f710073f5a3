"""The console's login form, with patience for typing errors and none for guessing.

Counted per address and account, so that a stranger's guesses elsewhere do not lock the owner out, and per process: a
few processes multiply what may be guessed in ten minutes by a few, which a password of twelve characters bears.
"""

from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.core.exceptions import ValidationError
from unfold.forms import AuthenticationForm

MOST_WRONG = 20
PAUSE = timedelta(minutes=10)


class PatientLoginForm(AuthenticationForm):  # type: ignore[misc]  # unfold publishes no types
    """Refuses further passwords of an account after too many wrong ones from one address."""

    def clean(self) -> dict[str, Any]:
        key = self._key()
        if cache.get(key, 0) >= MOST_WRONG:
            minutes = int(PAUSE.total_seconds() // 60)
            raise ValidationError(f"Too many wrong passwords. Wait {minutes} minutes, then try again.")
        try:
            return dict(super().clean())
        except ValidationError:
            cache.add(key, 0, timeout=PAUSE.total_seconds())
            cache.incr(key)
            raise

    def _key(self) -> str:
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        account = str(self.cleaned_data.get("username", "")).casefold()
        return f"wrong-logins:{address}:{account.encode().hex()}"[:200]
