"""Finished answers."""

import pytest

from experiments.splitter.responses import answer_of
from experiments.splitter.stores import Blob


@pytest.mark.parametrize(("accepted", "body"), [("br, gzip", b"gz"), ("gzip", b"gz"), ("br", b"page"), ("", b"page")])
def test_an_encoding_that_is_lacking_gives_way_to_the_next_smallest(accepted: str, body: bytes):
    answer = answer_of(Blob(identity=b"page", gzip=b"gz", content_type="text/html"))
    assert answer.accepted_by(accepted).body == body
