"""Pages of rows, serialised once: the body and ETag of a page stay as they are until the faults change."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson

from workloads.feed.faults import spoil

if TYPE_CHECKING:
    from workloads.feed.series import Row


class Page(NamedTuple):
    """One answer, ready to send: its JSON, its strong ETag and how many rows it holds."""

    body: bytes
    etag: str
    rows: int


class Pages:
    """All pages of the catalogue under one setting of the malformed-row fault."""

    def __init__(self, catalogue: dict[str, list[Row]], malformed_ratio: float, seed: int) -> None:
        """Spoil the rows where asked to; pages are serialised when first wanted."""
        self.malformed: Counter[str] = Counter()
        self._rows: dict[str, list[Row]] = {}
        for commodity, rows in catalogue.items():
            self._rows[commodity], counts = spoil(rows, malformed_ratio, seed)
            self.malformed.update(counts)
        self._pages: dict[tuple[str, int, int], Page] = {}
        self.series = _page({"series": _list(catalogue), "total": sum(map(len, self._rows.values()))}, 0)

    def __contains__(self, commodity: object) -> bool:
        """Whether there is such a commodity."""
        return commodity in self._rows

    def page(self, commodity: str, number: int, size: int) -> Page:
        """Page `number` (from 1) of a known commodity; beyond the last one it is empty and has no `next`."""
        key = (commodity, number, size)
        found = self._pages.get(key)
        if found is None:
            rows = self._rows[commodity]
            start = (number - 1) * size
            more = start + size < len(rows)
            link = f"/v1/prices?commodity={commodity}&page={number + 1}&page_size={size}"
            part = rows[start : start + size]
            found = _page(
                {
                    "commodity": commodity,
                    "page": number,
                    "page_size": size,
                    "total": len(rows),
                    "next": link if more else None,
                    "rows": part,
                },
                len(part),
            )
            if part:
                self._pages[key] = found
        return found


def _page(content: dict[str, object], rows: int) -> Page:
    body = orjson.dumps(content)
    return Page(body, f'"{blake2b(body, digest_size=16).hexdigest()}"', rows)


def _list(catalogue: dict[str, list[Row]]) -> list[dict[str, object]]:
    """One entry a series: how many rows, its first and last date, and whether it is synthetic."""
    found: dict[tuple[object, object], dict[str, object]] = {}
    counts: Counter[tuple[object, object]] = Counter()
    for rows in catalogue.values():
        for row in rows:
            key = (row["commodity"], row["series"])
            counts[key] += 1
            entry = found.setdefault(
                key,
                {"commodity": key[0], "series": key[1], "first": row["date"], "synthetic": row["synthetic"]},
            )
            entry["last"] = row["date"]
    return [{**entry, "count": counts[key]} for key, entry in found.items()]
