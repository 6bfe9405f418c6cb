"""Turns at the catalog: one writer after another, as long as everybody is quick.

Iceberg's commits are optimistic: of several writers that commit at once one wins, and the others have written a file
for nothing and begin again. That is right and, where processors are scarce, dear: three consumers that flush every
second spend a third of their time on it. So they take turns, by an advisory lock of the catalog's PostgreSQL. It is a
courtesy and decides nothing: who does not get it in time, since its holder hangs or was cut off, commits all the
same, and the table's own rules keep that right. The lock ends with its transaction, so with its holder's connection.
"""

from __future__ import annotations

import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

#: So long, in seconds, somebody waits for its turn; a commit takes a few tenths.
PATIENCE_SECONDS: Final = 0.6
_LOOK_SECONDS: Final = 0.02


@contextmanager
def turn(engine: Engine, table: str) -> Iterator[bool]:
    """A turn at a table while the block runs; tells whether it was got, and goes on in any case.

    A catalog that is no PostgreSQL knows no turns.

    Raises:
        SQLAlchemyError: The catalog does not answer.
    """
    if engine.dialect.name != "postgresql":
        yield False
        return
    with engine.connect() as connection:
        yield _got(connection, zlib.crc32(table.encode()))


def _got(connection: Connection, key: int) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while not connection.scalar(select(func.pg_try_advisory_xact_lock(key))):
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
