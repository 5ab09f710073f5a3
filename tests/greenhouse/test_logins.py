"""The console's login: patient with typing errors, not with guessing."""

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.test import Client

from greenhouse.logins import MOST_WRONG

pytestmark = pytest.mark.django_db

PASSWORD = "a-long-enough-password"


@pytest.fixture(autouse=True)
def _fresh_cache():
    cache.clear()


def gets_in(username: str, password: str, address: str = "192.0.2.1") -> bool:
    answer = Client().post(
        "/console/login/?next=/console/", {"username": username, "password": password}, REMOTE_ADDR=address
    )
    return answer.status_code == 302


def test_after_too_many_wrong_passwords_the_right_one_must_wait(owner):
    assert not any(gets_in("owner", f"guess {n}") for n in range(MOST_WRONG))
    assert not gets_in("owner", PASSWORD)
    assert not gets_in("OWNER", PASSWORD)


def test_guesses_from_elsewhere_do_not_lock_the_owner_out(owner):
    for n in range(MOST_WRONG):
        gets_in("owner", f"guess {n}")
    assert gets_in("owner", PASSWORD, address="192.0.2.2")


def test_guesses_at_one_account_do_not_lock_another(owner):
    User.objects.create_superuser("partner", password=PASSWORD)
    for n in range(MOST_WRONG):
        gets_in("owner", f"guess {n}")
    assert gets_in("partner", PASSWORD)


def test_a_few_typing_errors_are_forgiven(owner):
    assert not any(gets_in("owner", "oops") for _ in range(3))
    assert gets_in("owner", PASSWORD)
