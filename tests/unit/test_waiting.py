"""Waiting for something to become true."""

from __future__ import annotations

import pytest

from assay.errors import AssayError
from assay.waiting import wait_until


def test_the_first_true_answer_is_the_result() -> None:
    """The condition is asked until it is true; what it answered is returned."""
    answers = iter([None, "", "there"])
    assert wait_until(lambda: next(answers), 5, "never", every=0) == "there"


def test_a_condition_that_never_comes_true_ends_in_its_sentence() -> None:
    """After the time limit, with at least one question asked, the message is what is said."""
    asked = []
    with pytest.raises(AssayError, match="It is not there"):
        wait_until(lambda: asked.append(1), 0, "It is not there.")
    assert asked == [1]
