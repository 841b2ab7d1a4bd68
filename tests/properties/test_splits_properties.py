"""What holds for the hash that proposes a split."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from faceproof.data.splitting.stratified import unit_hash

UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no fault of a split


@UNHURRIED
@given(st.text(), st.integers(0, 2**31))
def test_unit_hash_lies_in_0_to_1(text, seed):
    assert 0 <= unit_hash(text, seed) < 1
    assert unit_hash(text, seed) == unit_hash(text, seed)
