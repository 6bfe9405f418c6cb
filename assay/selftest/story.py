"""A run's evidence in memory, to be changed a row at a time: what the judge is tried on."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from assay.checks.columns import filled
from assay.evidence import Evidence
from assay.judge import consider
from assay.ledger import SCHEMAS, Recorded
from assay.manifest import Manifest
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.judge import Judgement

    Array = np.ndarray[Any, Any]
    #: A ledger: its kind, and for a producer's its name too.
    Key = str | tuple[str, str]


@dataclass
class Story:
    """Manifest and ledgers. Tables are never changed in place, so a copy costs nothing until it is changed.

    Attributes:
        manifest: As plain values.
        tables: Ledgers by kind and producer (empty for other kinds).
        torn: Ledgers that were not closed.
    """

    manifest: dict[str, Any]
    tables: dict[tuple[str, str], pa.Table]
    torn: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, evidence: Evidence) -> Story:
        """The story that loaded evidence tells; its manifest is there."""
        if evidence.manifest is None:
            raise ValueError("evidence without a manifest tells no story")
        tables = {
            (ledger.kind, ledger.producer): ledger.whole().replace_schema_metadata(None) for ledger in evidence.ledgers
        }
        torn = {(ledger.kind, ledger.producer) for ledger in evidence.ledgers if not ledger.complete}
        return cls(evidence.manifest.model_dump(mode="json"), tables, torn)

    def copy(self) -> Story:
        """One that can be changed without changing this one."""
        return Story(copy.deepcopy(self.manifest), dict(self.tables), set(self.torn))

    @property
    def producers(self) -> list[str]:
        """The producers that have a ledger of attempts."""
        return sorted(producer for kind, producer in self.tables if kind == "attempts")

    def partition(self, number: int) -> dict[str, Any]:
        """What the manifest says of a partition."""
        found: dict[str, Any] = next(one for one in self.manifest["partitions"] if one["partition"] == number)
        return found

    def column(self, ledger: Key, name: str) -> Array:
        """A column: numbers as numbers with -1 for null, names as objects with None."""
        column: Any = self.tables[_key(ledger)][name]
        if pa.types.is_integer(column.type):
            return filled(column)
        return np.array(column.to_pylist(), dtype=object)

    def where(self, ledger: Key, **values: Any) -> list[int]:
        """The numbers of the rows that have these values."""
        mask = np.ones(self.tables[_key(ledger)].num_rows, dtype=bool)
        for name, value in values.items():
            mask &= self.column(ledger, name) == value
        return np.flatnonzero(mask).tolist()

    def row(self, ledger: Key, index: int) -> dict[str, Any]:
        """One row."""
        found: dict[str, Any] = self.tables[_key(ledger)].slice(index, 1).to_pylist()[0]
        return found

    def put(self, ledger: Key, index: int, /, **changes: Any) -> None:
        """Change values of one row."""
        self._splice(ledger, index, index + 1, self.row(ledger, index) | changes)

    def drop(self, ledger: Key, index: int) -> None:
        """Take one row out."""
        self._splice(ledger, index, index + 1)

    def keep(self, ledger: Key, mask: Array) -> None:
        """Take out all rows but those of a mask."""
        self.tables[_key(ledger)] = self.tables[_key(ledger)].filter(pa.array(mask))

    def add(self, ledger: Key, row: Mapping[str, Any], at: int | None = None) -> None:
        """Put a row in, before row number `at`, by default at the end."""
        table = self.tables.setdefault(_key(ledger), SCHEMAS[_key(ledger)[0]].empty_table())
        place = table.num_rows if at is None else at
        self._splice(ledger, place, place, row)

    def judged(self) -> Judgement:
        """What the judge says of it."""
        ledgers = tuple(
            Recorded(table, kind, producer, complete=(kind, producer) not in self.torn)
            for (kind, producer), table in self.tables.items()
        )
        return consider(Evidence(Manifest.model_validate(self.manifest), ledgers, ()))

    def complaints(self) -> dict[str, Verdict]:
        """The verdict of each check that does not pass."""
        return {found.check: found.verdict for found in self.judged().findings if found.verdict is not Verdict.PASS}

    def _splice(self, ledger: Key, first: int, last: int, *rows: Mapping[str, Any]) -> None:
        table, schema = self.tables[_key(ledger)], SCHEMAS[_key(ledger)[0]]
        plain = [{name: row[name] for name in schema.names} for row in rows]
        parts = [table.slice(0, first), pa.Table.from_pylist(plain, schema=schema), table.slice(last)]
        self.tables[_key(ledger)] = pa.concat_tables(parts)


def _key(ledger: Key) -> tuple[str, str]:
    return (ledger, "") if isinstance(ledger, str) else ledger
