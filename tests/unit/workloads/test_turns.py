"""Turns at the catalog are a courtesy: whoever does not get one in time goes on all the same."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import create_engine

from workloads.analytics import turns
from workloads.analytics.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from sqlalchemy import Engine


class Postgres:
    """A database that grants a turn at the n-th time it is asked; what was asked of it."""

    def __init__(self, grants_at: int) -> None:
        """Nothing was asked yet."""
        self.dialect = type("Dialect", (), {"name": "postgresql"})
        self.asked: list[str] = []
        self.open = 0
        self._grants_at = grants_at

    @contextmanager
    def connect(self) -> Iterator[Postgres]:
        """A connection, whose end gives the turn back."""
        self.open += 1
        yield self
        self.open -= 1

    def scalar(self, statement: Any) -> bool:
        """Whether the turn is granted."""
        self.asked.append(str(statement.compile(compile_kwargs={"literal_binds": True})))
        return len(self.asked) >= self._grants_at


def test_a_turn_is_waited_for_and_given_back() -> None:
    """Asked for until it is granted, always for the same table, and held only while the block runs."""
    database = Postgres(grants_at=3)
    with turn(cast("Engine", database), "commodity.prices") as got:
        assert got
        assert database.open == 1
    assert database.open == 0
    assert len(database.asked) == 3
    assert len(set(database.asked)) == 1
    assert "pg_try_advisory_xact_lock" in database.asked[0]


def test_nobody_waits_for_one_who_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its patience a writer commits without a turn: the table's own rules decide."""
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0.05)
    ran = []
    with turn(cast("Engine", Postgres(grants_at=10_000)), "commodity.prices") as got:
        ran.append(got)
    assert ran == [False]


def test_another_database_knows_no_turns() -> None:
    """Nothing is asked of it, and the block runs."""
    with turn(create_engine("sqlite://"), "commodity.prices") as got:
        assert not got


def test_tables_do_not_wait_for_each_other() -> None:
    """Each has its own turn."""
    asked = []
    for table in ("commodity.prices", "commodity.windows"):
        database = Postgres(grants_at=1)
        with turn(cast("Engine", database), table):
            asked += database.asked
    assert len(set(asked)) == 2
