"""What the consumers did, by their own log: did each read every record in turn, and commit only what was written?

A consumer's word is no proof that a row exists (the sink is read back for that), but what it says against itself
counts: an offset it passed over, a start that nobody committed, a commit before the write. Events are numbered in each
instance (one process), so that a line that is missing is noticed: nothing is concluded across a gap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.checks.check import Check
from assay.checks.columns import filled
from assay.checks.finding import UndecidedError, counted, finding
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assay.checks.history import History
    from assay.checks.tally import Tally


@dataclass(frozen=True)
class Step:
    """One partition of one event; offsets are -1 where the event has none. See `assay.ledger.EVENTS`."""

    instance: str
    n: int
    kind: str
    partition: int
    first: int
    next: int


@dataclass(frozen=True)
class Account:
    """What the events tell against the consumers, and how far they can be believed.

    Attributes:
        polls: How many ranges were polled.
        starts: How many assignments there were.
        commits: How many commits there were.
        gaps: How many events are missing between others of their instance, or before the first.
        skips: Ranges that were passed over, and that hold records of the log.
        returns: Ranges that one assignment read twice.
        unsound: Assignments that began where nobody had committed.
        ahead: Commits of what was not written yet.
    """

    polls: int
    starts: int
    commits: int
    gaps: int
    skips: list[dict[str, Any]]
    returns: list[dict[str, Any]]
    unsound: list[dict[str, Any]]
    ahead: list[dict[str, Any]]


class Skipped(Check):
    """A consumer passed over offsets that hold records, within a poll or between two polls without a reassignment.

    Source: Jepsen's "poll skip". Offsets that the log does not have (compaction, transactions) are no skip.
    """

    name = "skipped"
    needs = ("log", "partitions")

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """Ranges that were passed over."""
        account = account_of(history)
        text = (
            f"{counted(len(account.skips), 'range')} of offsets with records were passed over: {_where(account.skips)}."
            if account.skips
            else f"{counted(account.polls, 'polled range')} follow each other without passing over a record."
        )
        measured = {"polled_ranges": account.polls, "skips": len(account.skips)}
        return _finding(self, history, account.skips, text, measured)


class WentBack(Check):
    """A consumer read offsets again that it had read before, without a reassignment in between.

    Source: Jepsen's "nonmonotonic poll". After a reassignment, reading again from the committed offset is allowed.
    """

    name = "went back"
    needs = ("partitions",)

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """Ranges that were read twice."""
        account = account_of(history)
        text = (
            f"{counted(len(account.returns), 'time')} a consumer went back: {_where(account.returns)}."
            if account.returns
            else f"{counted(account.polls, 'polled range')} never go back within an assignment."
        )
        measured = {"polled_ranges": account.polls, "returns": len(account.returns)}
        return _finding(self, history, account.returns, text, measured)


class UnsoundStart(Check):
    """A newly assigned partition starts neither at an offset that was committed nor at the reset position.

    Source: Kafka's contract of consumer groups. A start below which everything has arrived in the sink is sound too: a
    sink that keeps offsets with its rows resumes there. Starts up to this run's first offset concern earlier records.
    """

    name = "unsound start"
    needs = ("partitions",)

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """Assignments that began elsewhere."""
        account = account_of(history)
        text = (
            f"{counted(len(account.unsound), 'assignment')} began where nobody had committed: "
            f"{_where(account.unsound)}."
            if account.unsound
            else f"{counted(account.starts, 'assignment')} began at a committed offset or at the reset position."
        )
        measured = {"assignments": account.starts, "unsound": len(account.unsound)}
        return _finding(self, history, account.unsound, text, measured)


class CommitAhead(Check):
    """A consumer committed an offset beyond what it, or an owner before it, had durably written at that moment.

    Source: at-least-once means write, then commit. It is wrong even where nobody died in between: then it was luck.
    A write whose line was lost with its writer is known by its rows in the sink.
    """

    name = "commit ahead"
    needs = ("partitions",)

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """Commits that no write precedes."""
        account = account_of(history)
        text = (
            f"{counted(len(account.ahead), 'commit')} went beyond what was written: {_where(account.ahead)}."
            if account.ahead
            else f"{counted(account.commits, 'commit')} cover only what was written before."
        )
        measured = {"commits": account.commits, "ahead": len(account.ahead)}
        return _finding(self, history, account.ahead, text, measured)


@lru_cache(maxsize=1)
def account_of(history: History) -> Account:
    """Go through every instance's events in their order.

    Raises:
        UndecidedError: No event was recorded, or none of them is a poll.
    """
    steps = _steps(history)
    book = _Book(history, steps)
    for _, mine in _grouped(steps):
        book.follow(mine)
    if not book.polls:
        raise UndecidedError("no consumer told of a poll")
    return Account(book.polls, book.starts, book.commits, book.gaps, book.skips, book.returns, book.unsound, book.ahead)


@dataclass
class _Episode:
    """One assignment of a partition: where its owner is to read on, and up to where it has written; -1: unknown."""

    expected: int = -1
    written: int = -1


@dataclass
class _Book:
    """The account while it is made."""

    history: History
    steps: Sequence[Step]
    polls: int = 0
    starts: int = 0
    commits: int = 0
    gaps: int = 0
    skips: list[dict[str, Any]] = field(default_factory=list)
    returns: list[dict[str, Any]] = field(default_factory=list)
    unsound: list[dict[str, Any]] = field(default_factory=list)
    ahead: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """What was committed and written at all, by whom."""
        self._committed: dict[int, set[int]] = {}
        self._written: dict[int, list[tuple[str, int, int, int]]] = {}
        for step in self.steps:
            if step.kind == "committed":
                self._committed.setdefault(step.partition, set()).add(step.next)
            elif step.kind == "written":
                self._written.setdefault(step.partition, []).append((step.instance, step.n, step.first, step.next))
        try:
            lag = self.history.table("lag")
        except UndecidedError:
            return
        pairs = zip(filled(lag["partition"]).tolist(), filled(lag["committed_offset"]).tolist(), strict=True)
        for number, offset in pairs:
            self._committed.setdefault(number, set()).add(offset)

    def follow(self, steps: Sequence[Step]) -> None:
        """One instance's events. After a gap nothing is known of any partition until it is assigned anew."""
        episodes: dict[int, _Episode] = {}
        expected_n = 0
        for step in steps:
            if step.n > expected_n:
                self.gaps += step.n - expected_n
                episodes = {}
            expected_n = step.n + 1
            if step.partition < 0:
                continue
            if step.kind == "assigned":
                episodes[step.partition] = self._start(step)
            elif step.kind in {"revoked", "lost"}:
                episodes.pop(step.partition, None)
            elif step.kind == "polled":
                self._poll(step, episodes.setdefault(step.partition, _Episode()))
            elif step.kind == "written":
                episode = episodes.setdefault(step.partition, _Episode())
                episode.written = max(episode.written, step.next)
            elif step.kind == "committed":
                self._commit(step, episodes.get(step.partition))

    def _start(self, step: Step) -> _Episode:
        self.starts += 1
        given = self.history.partitions.get(step.partition)
        committed = self._committed.get(step.partition, set())
        if given is not None and step.next > given.start and step.next not in committed:
            since = max((offset for offset in committed if offset < step.next), default=given.start)
            if not self.history.arrived(step.partition, max(since, given.start), step.next):
                self.unsound.append(_row(step, step.next, step.next))
        if step.next < 0 and given is not None:  # nothing committed: the reset position, which is the earliest record
            return _Episode(given.log_start, given.log_start)
        return _Episode(step.next, step.next)

    def _poll(self, step: Step, episode: _Episode) -> None:
        self.polls += 1
        if 0 <= episode.expected < step.first:
            found = self.history.rows_at(
                "log", step.partition, episode.expected, step.first, ("offset", "producer", "seq")
            )
            if found.num_rows:
                whose = ", ".join(
                    f"{one['producer'] or 'no producer'} seq {one['seq']}" for one in found.slice(0, 3).to_pylist()
                )
                details = {"records": found.num_rows, "such as": whose}
                self.skips.append(_row(step, episode.expected, step.first) | details)
        elif step.first < episode.expected:
            self.returns.append(_row(step, step.first, episode.expected))
        episode.expected = max(step.next, episode.expected) if step.first < episode.expected else step.next

    def _commit(self, step: Step, episode: _Episode | None) -> None:
        self.commits += 1
        given = self.history.partitions.get(step.partition)
        since = max(episode.written if episode is not None else -1, given.start if given is not None else 0)
        if step.next <= since or (episode is not None and episode.written < 0 and episode.expected < 0):
            return
        written = self._written.get(step.partition, ())
        covered = _covered(since, [(first, after) for who, _, first, after in written if who != step.instance])
        if covered >= step.next:
            return
        later = any(
            who == step.instance and n > step.n and first < step.next and after > covered
            for who, n, first, after in written
        )
        if later or not self.history.arrived(step.partition, covered, step.next):
            self.ahead.append(_row(step, covered, step.next))


def _covered(since: int, ranges: Sequence[tuple[int, int]]) -> int:
    """Up to where ranges of offsets continue without a hole from `since` on."""
    for first, after in sorted(ranges):
        if first > since:
            break
        since = max(since, after)
    return since


def _row(step: Step, first: int, after: int) -> dict[str, Any]:
    return {"instance": step.instance, "event": step.n, "partition": step.partition, "first": first, "next": after}


def _where(rows: Sequence[dict[str, Any]]) -> str:
    one = rows[0]
    more = len(rows) - 1
    offsets = f"{one['first']}-{one['next'] - 1}" if one["next"] > one["first"] + 1 else f"{one['first']}"
    return f"{one['instance']} in partition {one['partition']} at offset {offsets}" + (
        f", and {counted(more, 'more time')}" if more else ""
    )


def _finding(
    check: Check, history: History, rows: list[dict[str, Any]], text: str, measured: dict[str, int]
) -> Finding:
    account = account_of(history)
    verdict = Verdict.FAIL if rows else Verdict.PASS
    if verdict is Verdict.PASS and (account.gaps or not history.whole("events")):
        verdict = Verdict.UNKNOWN
        text += f" {counted(account.gaps, 'event')} are missing from the consumers' logs, so this is not proved."
    late = {key: [row[key] for row in rows] for key in rows[0]} if rows else {}
    return finding(check.name, verdict, text, measured | {"missing_events": account.gaps}, late=late)


def _steps(history: History) -> list[Step]:
    table = history.table("events")
    columns = (
        table["instance"].to_pylist(),
        table["n"].to_pylist(),
        table["kind"].to_pylist(),
        *(filled(table[name]).tolist() for name in ("partition", "first", "next")),
    )
    return [Step(*row) for row in zip(*columns, strict=True)]


def _grouped(steps: Sequence[Step]) -> Iterator[tuple[str, list[Step]]]:
    """The steps of each instance, by the number of the event; rows of one event keep their order."""
    instances: dict[str, list[Step]] = {}
    for step in steps:
        instances.setdefault(step.instance, []).append(step)
    for name in sorted(instances):
        mine = instances[name]
        order = np.argsort([step.n for step in mine], kind="stable")
        yield name, [mine[index] for index in order.tolist()]
