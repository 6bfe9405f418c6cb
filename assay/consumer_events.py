"""What each consumer did, as it logged it itself: started, assigned, polled, written, committed and so on.

The ledger of events is appended to as events come, at least twice a second, so that a killed judge loses half a second
of them; whoever reads it orders the rows by instance and `n`. Guaranteed is:

- Each event is in the ledgers of a run at most once: it is known by its instance and number, however often it is read.
- What the kubelet still has of a pod's logs when the recording ends is in the ledger, also from before the recording
  began, so that each instance's last assignment is known.
- `seen_ns` is set only where the line came while it was waited for, so it is at most about a second late: the pods are
  looked for twice a second. What was read afterwards, or was there before, has null.
- What could not be recorded is counted in `gaps`. A missing line shows as a missing `n`.

Not guaranteed is what nobody can see any more: the last lines of a pod that was deleted while it could not be followed,
and those that the kubelet rotated away (it serves the newest file, about 10 MiB).
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from assay import ledger
from assay.errors import AssayError
from assay.ledger import LedgerWriter
from assay.pod_logs import PodLogs
from assay.sampling import Sampling

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from assay.platform import Platform

PREFIX: Final = "consumer."
KINDS: Final = frozenset({"started", "assigned", "revoked", "lost", "polled", "written", "committed", "stopped"})
_MARK: Final = f'"{PREFIX}'.encode()
_APPEND_SECONDS: Final = 0.5
_MOST: Final = 2**63 - 1
_MOST_PARTITION: Final = 2**31 - 1


class Range(NamedTuple):
    """Offsets [first, next) of a partition, and how many records; None where the event does not say it."""

    partition: int | None
    first: int | None
    next: int | None
    records: int | None


@dataclass(frozen=True)
class Event:
    """One line: the `n`-th event of one consumer process, at its own monotonic time."""

    instance: str
    n: int
    kind: str
    at_ns: int
    ranges: tuple[Range, ...]


def parse(line: bytes) -> Event | None:
    """One line of a consumer's log; None if it is no event (pure).

    An event that names no partition gets one range of nothing, so that it has a row.

    Raises:
        ValueError: It is an event and can't be read.
    """
    if _MARK not in line:
        return None
    document = json.loads(line)
    name = document.get("event") if isinstance(document, dict) else None
    if not isinstance(name, str) or not name.startswith(PREFIX) or name.removeprefix(PREFIX) not in KINDS:
        return None
    instance, ranges = document.get("instance"), document.get("ranges")
    if not isinstance(instance, str) or not instance:
        raise ValueError("an event names no instance")
    if not isinstance(ranges, list):
        raise ValueError("an event has no ranges")  # noqa: TRY004  # what is in a log is a value, and no argument's type
    return Event(
        instance=instance,
        n=_number(document.get("n")),
        kind=name.removeprefix(PREFIX),
        at_ns=_number(document.get("monotonic_ns")),
        ranges=tuple(_range(one) for one in ranges) or (Range(None, None, None, None),),
    )


def _range(given: Any) -> Range:
    if not isinstance(given, list) or len(given) != len(Range._fields):
        raise ValueError("a range is not partition, first, next and records")
    partition, *others = given
    return Range(_number(partition, _MOST_PARTITION), *(None if one is None else _number(one) for one in others))


def _number(value: Any, most: int = _MOST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number of a ledger")
    return value


class ConsumerEvents:
    """A context manager that follows the logs of a component's pods and writes the ledger of events.

    Attributes:
        gaps: What could not be recorded, in clauses; complete once the context is left.
    """

    def __init__(self, platform: Platform, component: str, path: Path) -> None:
        """Create the ledger `path`; what other ledgers of events beside it hold is not recorded again.

        Raises:
            AssayError: The file exists.
        """
        self.gaps: list[str] = []
        self._known = recorded(path.parent)
        self._ledger = LedgerWriter(path, "events")
        self._pending: list[tuple[Event, int | None]] = []
        self._unreadable: set[int] = set()  # hashes of lines, which may come more than once
        self._lock = threading.Lock()
        self._appending = Sampling("consumer-events", self.append, _APPEND_SECONDS, self._ledger)
        self._logs = PodLogs(platform, component, self.take)

    def take(self, line: bytes, seen_ns: int | None) -> None:
        """Take a line of a log; safe from any thread."""
        try:
            event = parse(line)
        except (ValueError, RecursionError):
            with self._lock:
                self._unreadable.add(hash(line))
            return
        if event is None:
            return
        with self._lock:
            if (event.instance, event.n) not in self._known:
                self._known.add((event.instance, event.n))
                self._pending.append((event, seen_ns))

    def append(self) -> None:
        """Write what was taken to the ledger."""
        with self._lock:
            taken, self._pending = self._pending, []
        if taken:
            self._ledger.append(_columns(taken))

    def __enter__(self) -> Self:
        """Start; when this returns, what the pods logged before was taken."""
        self._appending.__enter__()
        self._logs.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop following, read every log once more, and close the ledger."""
        self._logs.__exit__(kind, error, trace)
        self._appending.__exit__(kind, error, trace)
        self.gaps = list(self._logs.gaps)
        if self._unreadable:
            self.gaps.append(f"lines of consumers' events could not be read: {len(self._unreadable):,}")


def recorded(folder: Path) -> set[tuple[str, int]]:
    """The events, by instance and number, that ledgers in a run's folder hold already."""
    known: set[tuple[str, int]] = set()
    for path in folder.glob("events*.arrows"):
        try:
            table = ledger.read(path).table
        except AssayError:  # the judge says what is wrong with it
            continue
        known |= {(str(row["instance"]), row["n"]) for row in table.select(["instance", "n"]).to_pylist()}
    return known


def _columns(taken: Sequence[tuple[Event, int | None]]) -> dict[str, list[Any]]:
    rows = [(event, place, seen_ns) for event, seen_ns in taken for place in event.ranges]
    return {
        "instance": [event.instance for event, _, _ in rows],
        "n": [event.n for event, _, _ in rows],
        "kind": [event.kind for event, _, _ in rows],
        "partition": [place.partition for _, place, _ in rows],
        "first": [place.first for _, place, _ in rows],
        "next": [place.next for _, place, _ in rows],
        "records": [place.records for _, place, _ in rows],
        "at_ns": [event.at_ns for event, _, _ in rows],
        "seen_ns": [seen_ns for _, _, seen_ns in rows],
    }
