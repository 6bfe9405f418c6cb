"""Counting: a run is cut into pieces, each is counted alone by every check, and the sums are concluded from.

`examine` is the unit of work. It needs nothing but the history (which names files) and the piece, so it runs as well in
this process as in another one or on another machine; adding its tallies up in the order of the pieces gives the same
sums wherever they were counted.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay.checks.finding import UndecidedError
from assay.checks.shards import LogShard, SendsShard, sends_shards
from assay.checks.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from assay.checks.check import Check
    from assay.checks.history import History
    from assay.checks.tally import Tally


@dataclass(frozen=True)
class Piece:
    """A range of seqs [first, last), or a window of offsets (`first`)."""

    of_sends: bool
    first: int
    last: int


@dataclass(frozen=True)
class Failure:
    """Why a check could not count a piece; `crashed` where it was the check's own fault."""

    reason: str
    crashed: bool


def pieces(history: History) -> list[Piece]:
    """What is to be counted, in the order in which it is to be added up."""
    found = []
    with contextlib.suppress(UndecidedError):  # without sends: every check that needs them says so
        found += [Piece(of_sends=True, first=first, last=last) for first, last in sends_shards(history)]
    return found + [Piece(of_sends=False, first=window, last=window + 1) for window in history.windows.occupied]


def examine(history: History, checks: Sequence[Check], piece: Piece) -> dict[str, Tally | Failure]:
    """What each check counts in a piece, and the timeline."""
    found: dict[str, Tally | Failure] = {}
    counters: list[Check | Timeline] = [*checks, Timeline()]
    shard = SendsShard(history, piece.first, piece.last) if piece.of_sends else LogShard(history, piece.first)
    for counter in counters:
        try:
            tally = counter.of_sends(shard) if isinstance(shard, SendsShard) else counter.of_log(shard)
        except UndecidedError as reason:
            found[counter.name] = Failure(str(reason), crashed=False)
        except Exception as error:  # noqa: BLE001  # whatever a check dies of, the others are made
            found[counter.name] = Failure(f"{type(error).__name__}: {error}", crashed=True)
        else:
            if tally is not None:
                found[counter.name] = tally
    return found


def countable(checks: Iterable[Check], history: History) -> tuple[list[Check], Mapping[str, str]]:
    """The checks that have what they need, and for the others the reason why not."""
    able, lacking = [], {}
    for check in checks:
        try:
            for need in check.needs:
                _NEEDS[need](history)
        except UndecidedError as reason:
            lacking[check.name] = str(reason)
        else:
            able.append(check)
    return able, lacking


def _whole_log(history: History) -> None:
    """The log was read back as far as it goes, as the brokers said after the load; else it seems to lack everything."""
    _ = history.log_spans
    if not all(partition.end_asked for partition in history.manifest.partitions):
        raise UndecidedError("the brokers were not asked after the load where the partitions end")


_NEEDS: Final[Mapping[str, Callable[[History], object]]] = {
    "sends": lambda history: history.senders,
    "log": _whole_log,
    "sink": lambda history: history.placed("sink"),
    "partitions": lambda history: history.partitions,
}
