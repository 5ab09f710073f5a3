"""`manage.py create_api_token`."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from experiments.models import APIToken
from experiments.tokens import token_digest


def test_it_prints_a_token_of_which_only_the_digest_is_kept(owner):
    output = StringIO()
    call_command("create_api_token", "owner", stdout=output)
    token = output.getvalue().strip()
    kept = APIToken.objects.get(user=owner)
    assert kept.digest == token_digest(token)
    assert token not in kept.digest


@pytest.mark.django_db
def test_it_names_a_user_who_does_not_exist():
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("create_api_token", "nobody")
