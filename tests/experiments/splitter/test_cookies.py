"""Signed assignments."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.splitter.cookies import COOKIE_PURPOSE, TOKEN_PURPOSE, Assignment, Signer, cookie_values

SIGNER = Signer("a secret", purpose=COOKIE_PURPOSE)
GIVEN = Assignment(visitor="0123456789abcdef" * 2, experiment=12, arm="v2", epoch=3, exposed_ms=1_760_000_000_000)

assignments = st.builds(
    Assignment,
    visitor=st.text("0123456789abcdef", min_size=32, max_size=32),
    experiment=st.integers(0, 10**17),
    arm=st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=100),
    epoch=st.integers(0, 10**17),
    exposed_ms=st.integers(0, 10**17),
)

unhurried = settings(deadline=None)  # on a busy machine an example may take any time


@unhurried
@given(assignments)
def test_what_is_signed_reads_the_same(assignment: Assignment):
    assert SIGNER.read(SIGNER.sign(assignment)) == assignment


@unhurried
@given(st.integers(0, len(SIGNER.sign(GIVEN)) - 1), st.characters())
def test_no_single_change_survives(position: int, character: str):
    signed = SIGNER.sign(GIVEN)
    altered = signed[:position] + character + signed[position + 1 :]
    assert altered == signed or SIGNER.read(altered) is None


@unhurried
@given(st.text())
def test_whatever_else_reads_as_none(text: str):
    assert SIGNER.read(text) is None


@pytest.mark.parametrize(
    "other", [Signer("another", purpose=COOKIE_PURPOSE), Signer("a secret", purpose=TOKEN_PURPOSE)]
)
def test_another_key_or_purpose_is_foreign(other: Signer):
    assert other.read(SIGNER.sign(GIVEN)) is None


def test_a_replaced_key_still_reads_and_the_new_one_signs():
    rotated = Signer("new", fallbacks=["older", "a secret"], purpose=COOKIE_PURPOSE)
    assert rotated.read(SIGNER.sign(GIVEN)) == GIVEN
    assert SIGNER.read(rotated.sign(GIVEN)) is None
    assert Signer("new", purpose=COOKIE_PURPOSE).read(rotated.sign(GIVEN)) == GIVEN


def test_a_pinned_signature_keeps_the_cookies_of_those_who_were_here():
    """A change here forgets every visitor of every installation."""
    expected = "0123456789abcdef0123456789abcdef.12.v2.3.1760000000000."
    assert SIGNER.sign(GIVEN).startswith(expected)
    assert SIGNER.sign(GIVEN).removeprefix(expected) == "jZIz6gJO3Qa2riZwaGkYF0yp"


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("", []),
        ("gh_1=a", ["a"]),
        ("x=1; gh_1=a;gh_1=b ; gh_12=c; agh_1=d", ["a", "b"]),
        ("gh_1", []),
        ("gh_1=" + "; gh_1=".join("abcdefgh"), ["a", "b", "c", "d"]),
        ("x=gh_1=a; gh_1=b", ["b"]),
        ("gh_1=; gh_1=b", ["", "b"]),
        ("x=" + "y" * 20_000 + "; gh_1=a", []),
    ],
)
def test_cookies_are_found_by_their_whole_name(header: str, values: list[str]):
    assert cookie_values(header, "gh_1") == values
