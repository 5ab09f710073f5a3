"""`manage.py create_api_token USERNAME`: let a program act as a user; the token is printed once and never again."""

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from experiments.models import APIToken
from experiments.tokens import new_token, token_digest


class Command(BaseCommand):
    help = "Print a new API token for a user, once. The database keeps a digest only."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *_args: object, username: str, **_options: object) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        token = new_token()
        APIToken.objects.create(user=user, digest=token_digest(token))
        self.stdout.write(token)
