"""Request bodies before their JSON is looked at."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.errors import InvalidArgument
from serving.rest.bodies import BodyTooLarge, unzipped

texts = st.lists(st.binary(max_size=5000), min_size=1, max_size=6)


@settings(deadline=None)
@given(texts, st.integers(0, 9), st.integers(0, 3))
def test_a_gzip_body_is_the_contents_of_all_its_members(parts, level, zeros):
    whole = b"".join(parts)
    body = b"".join(gzip.compress(part, level) for part in parts) + bytes(zeros)
    assert unzipped(body, len(whole)) == whole
    if whole:
        with pytest.raises(BodyTooLarge):
            unzipped(body, len(whole) - 1)


@settings(deadline=None)
@given(texts, st.data())
def test_a_gzip_body_that_ends_within_a_member_is_refused_and_never_read_in_part(parts, data):
    members = [gzip.compress(part) for part in parts]
    short = data.draw(st.integers(1, len(members[-1]) - 1))
    with pytest.raises(InvalidArgument, match=r"truncated$"):
        unzipped(b"".join(members)[:-short], 10**6)


def test_many_small_members_take_no_longer_than_their_bytes(monkeypatch):
    """What follows a member is not copied again for each of them."""
    copied = []
    real = gzip.zlib.decompressobj

    class Reader:
        def __init__(self, wbits):
            self._reader = real(wbits)

        def decompress(self, data, max_length):
            copied.append(len(data))
            return self._reader.decompress(data, max_length)

        def __getattr__(self, name):
            return getattr(self._reader, name)

    monkeypatch.setattr("serving.rest.bodies.zlib.decompressobj", Reader)
    assert unzipped(gzip.compress(b"x") * 2000, 2000) == b"x" * 2000
    assert sum(copied) < 2000 * 2000
