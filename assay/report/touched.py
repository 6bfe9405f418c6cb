"""Who touched what, as short as a page shows it: a line an account, and apart from that only what is no plain read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.audit import ALLOW

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assay.audit import Touch

_SECRETS: Final = ("", "secrets")


@dataclass(frozen=True)
class Actor:
    """One account from one address, and how many requests it made; those refused are not among the others.

    Attributes:
        user: Who asked; empty: nobody could be made out.
        impersonated: As whom; empty: as themselves.
        source: From where.
        reads: Requests that change nothing, but of Secrets.
        secrets: Reads of Secrets.
        changes: Requests that can change something, or talk to a process.
        refused: Requests that the authorizer did not allow, or was not seen to.
    """

    user: str
    impersonated: str
    source: str
    reads: int
    secrets: int
    changes: int
    refused: int


def actors(touched: Iterable[Touch]) -> tuple[Actor, ...]:
    """The accounts, those first that changed most."""
    sums: dict[tuple[str, str, str], Counter[str]] = {}
    for one in touched:
        sums.setdefault((one.user, one.impersonated, one.source), Counter())[_sort(one)] += one.count
    found = [
        Actor(*who, counts["reads"], counts["secrets"], counts["changes"], counts["refused"])
        for who, counts in sums.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.changes, -one.refused, one.user, one.impersonated, one.source)))


def notable(touched: Iterable[Touch]) -> tuple[Touch, ...]:
    """What is no plain read: what was refused, then looks at Secrets, then changes."""
    order = ("refused", "secrets", "changes")
    found = [(order.index(sort), one) for one in touched if (sort := _sort(one)) in order]
    return tuple(one for _, one in sorted(found, key=lambda pair: pair[0]))


def _sort(one: Touch) -> str:
    if one.decision != ALLOW:
        return "refused"
    if one.changes:
        return "changes"
    return "secrets" if (one.group, one.resource) == _SECRETS else "reads"
