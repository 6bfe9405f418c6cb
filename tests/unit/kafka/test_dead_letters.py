"""Which message a dead letter is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay import ledger
from assay.kafka import dead_letters
from assay.kafka.dead_letters import DeadLetter, letter

if TYPE_CHECKING:
    from pathlib import Path

HEADERS: list[tuple[str, bytes | str | None]] = [
    ("run-id", b"run-1"),
    ("dlq-reason", b"not-json"),
    ("dlq-topic", b"prices"),
    ("dlq-partition", b"2"),
    ("dlq-offset", b"4711"),
]


def changed(name: str, value: bytes | None) -> list[tuple[str, bytes | str | None]]:
    """The headers with one that is repeated, so that another value counts."""
    return [*HEADERS, (name, value)]


def test_a_letter_names_the_place_and_the_reason() -> None:
    """Whatever headers the message brought along."""
    assert letter(HEADERS, "prices") == DeadLetter(2, 4711, "not-json")


def test_a_letter_without_a_reason_still_stands_for_its_message() -> None:
    """It is dead all the same."""
    assert letter(changed("dlq-reason", None), "prices") == DeadLetter(2, 4711, None)


@pytest.mark.parametrize(
    "headers",
    [
        None,
        [],
        [("run-id", b"run-1")],
        changed("dlq-topic", b"others"),
        changed("dlq-topic", None),
        changed("dlq-partition", b"-1"),
        changed("dlq-partition", b"2147483648"),
        changed("dlq-offset", b"four"),
        changed("dlq-offset", None),
    ],
)
def test_what_names_no_place_of_the_topic_is_no_letter_about_it(
    headers: list[tuple[str, bytes | str | None]] | None,
) -> None:
    """A consumer that does not say which message it gave up has lost that message."""
    assert letter(headers, "prices") is None


def test_no_letters_are_a_whole_ledger_without_rows(tmp_path: Path) -> None:
    """No broker is asked where no offset is."""
    assert dead_letters.read("127.0.0.1:1", "dlq", {0: (3, 3)}, "prices", tmp_path / "deadletters.arrows") == 0
    recorded = ledger.read(tmp_path / "deadletters.arrows")
    assert (recorded.table.num_rows, recorded.complete) == (0, True)
