"""The anomalies that the judge must find: each a small change to a clean run's evidence, and what has to be said of it.

A mutation changes one thing as a system that is wrong in one way would leave it, at a place of the run, and names the
checks that must not pass then, and no others. Where one anomaly cannot be without another (a consumer that starts too
far on loses what it passes over), both are named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.ledger import Outcome
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.selftest.story import Story

FAIL, UNKNOWN = Verdict.FAIL, Verdict.UNKNOWN
#: A hash, a seq and an offset that no clean run has.
_OTHER_HASH: Final = 0x0BAD_0BAD_0BAD_0BAD
_FAR: Final = 1_000_003
_CONSUMERS: Final = ("skipped", "went back", "unsound start", "commit ahead")


@dataclass(frozen=True)
class Target:
    """An acknowledged send of this run and where its traces are: keys, so that they hold when rows have moved."""

    producer: str
    seq: int
    partition: int
    offset: int


@dataclass(frozen=True)
class Mutation:
    """One kind of anomaly.

    Attributes:
        name: What is wrong, in a few words.
        change: Changes a story at a target.
        complaints: What has to be said, by check.
        alone: It takes evidence away by which others would be found, so it isn't paired with them.
        last: Its target has to be the last record of its partition.
    """

    name: str
    change: Callable[[Story, Target], None]
    complaints: Mapping[str, Verdict]
    alone: bool = field(default=False, kw_only=True)
    last: bool = field(default=False, kw_only=True)


def targets(story: Story, count: int, *, last: bool = False) -> list[Target]:
    """So many sends of this run that were acknowledged and arrived, spread from the first to the last in the log.

    Args:
        story: A clean run.
        count: How many.
        last: Take the last record of each partition instead.
    """
    own = story.column("log", "run_id") == story.manifest["run_id"]
    arrays = {name: story.column("log", name)[own] for name in ("partition", "offset", "seq", "producer")}
    names = arrays.pop("producer").tolist()
    order = np.lexsort((arrays["offset"], arrays["partition"]))
    usable = [place for place in order.tolist() if _acked(story, names[place], int(arrays["seq"][place]))]
    if last:
        ends = {int(arrays["partition"][place]): place for place in usable}
        usable = [ends[number] for number in sorted(ends)]
    chosen = [usable[round(step)] for step in np.linspace(0, len(usable) - 1, min(count, len(usable)))]
    return [
        Target(names[place], *(int(arrays[name][place]) for name in ("seq", "partition", "offset")))
        for place in dict.fromkeys(chosen)
    ]


def _acked(story: Story, producer: str, seq: int) -> bool:
    rows = story.where(("outcomes", producer), seq=seq)
    return len(rows) == 1 and story.row(("outcomes", producer), rows[0])["outcome"] == Outcome.OK


def _at(story: Story, kind: str, target: Target) -> int:
    """The row of the log or the sink at the target's place."""
    return story.where(kind, partition=target.partition, offset=target.offset)[0]


def _send(story: Story, kind: str, target: Target) -> int:
    """The row of the attempts or the outcomes that is about the target."""
    return story.where((kind, target.producer), seq=target.seq)[0]


def _record(story: Story, target: Target) -> dict[str, Any]:
    return story.row("log", _at(story, "log", target))


def _append(story: Story, target: Target, **changes: Any) -> None:
    """Append a copy of the target's record to its partition, consumed like the others."""
    given = story.partition(target.partition)
    record = _record(story, target) | {"offset": given["end"]} | changes
    if given["committed"] == given["end"]:
        given["committed"] += 1
    given["end"] += 1
    story.add("log", record)
    story.add("sink", record)


def _lose(story: Story, target: Target) -> None:
    story.drop("log", _at(story, "log", target))
    story.drop("sink", _at(story, "sink", target))


def _overwrite(story: Story, target: Target) -> None:
    """An unclean leader wrote somebody else's record at the acknowledged offset."""
    for kind in ("log", "sink"):
        changes = {"run_id": None, "producer": None, "seq": None, "payload_hash": _OTHER_HASH}
        changes |= {"claimed_hash": None} if kind == "log" else {}
        story.put(kind, _at(story, kind, target), **changes)


def _lose_downstream(story: Story, target: Target) -> None:
    story.drop("sink", _at(story, "sink", target))


def _corrupt(story: Story, target: Target) -> None:
    for kind in ("log", "sink"):
        story.put(kind, _at(story, kind, target), payload_hash=_OTHER_HASH)


def _corrupt_header(story: Story, target: Target) -> None:
    story.put("log", _at(story, "log", target), claimed_hash=_OTHER_HASH)


def _corrupt_sink(story: Story, target: Target) -> None:
    story.put("sink", _at(story, "sink", target), payload_hash=_OTHER_HASH)


def _swap(story: Story, target: Target) -> None:
    """Exchange the target with its producer's next or previous record in the partition, acknowledgements included."""
    mask = (story.column("log", "run_id") == story.manifest["run_id"]) & (
        story.column("log", "producer") == target.producer
    )
    mask &= story.column("log", "partition") == target.partition
    seqs, offsets = story.column("log", "seq")[mask], story.column("log", "offset")[mask]
    others = np.abs(seqs - target.seq).astype(float)
    others[seqs == target.seq] = np.inf
    nearest = int(np.argmin(others))
    other = Target(target.producer, int(seqs[nearest]), target.partition, int(offsets[nearest]))
    for kind in ("log", "sink"):
        first, second = _at(story, kind, target), _at(story, kind, other)
        story.put(kind, first, offset=other.offset)
        story.put(kind, second, offset=target.offset)
    for one, place in ((target, other.offset), (other, target.offset)):
        story.put(("outcomes", target.producer), _send(story, "outcomes", one), offset=place)


def _reach_beyond(story: Story, target: Target) -> None:
    """Far more seqs than were ever attempted."""
    _append(story, target, seq=target.seq + _FAR)


def _stranger(story: Story, target: Target) -> None:
    _append(story, target, run_id="a-run-that-nobody-knows")


def _row_beyond(story: Story, target: Target) -> None:
    row = story.row("sink", _at(story, "sink", target))
    story.add("sink", row | {"offset": story.partition(target.partition)["end"] + _FAR})


def _row_of_another(story: Story, target: Target) -> None:
    story.put("sink", _at(story, "sink", target), seq=target.seq + _FAR)


def _abort(story: Story, target: Target) -> None:
    changes = {"outcome": int(Outcome.FAIL), "offset": None, "error": "TOPIC_AUTHORIZATION_FAILED"}
    story.put(("outcomes", target.producer), _send(story, "outcomes", target), **changes)


def _acknowledge_elsewhere(story: Story, target: Target) -> None:
    story.put(("outcomes", target.producer), _send(story, "outcomes", target), offset=target.offset + _FAR)


def _acknowledge_in_another_partition(story: Story, target: Target) -> None:
    story.put(("outcomes", target.producer), _send(story, "outcomes", target), partition=target.partition + 1)


def _two_values(story: Story, target: Target) -> None:
    other = _record(story, target) | {"run_id": None, "producer": None, "seq": None}
    other |= {"payload_hash": _OTHER_HASH, "claimed_hash": None}
    story.add("log", other, at=_at(story, "log", target) + 1)


def _leave_unseen(story: Story, target: Target) -> None:
    story.drop("sink", _at(story, "sink", target))
    story.partition(target.partition)["committed"] = target.offset


def _redeliver(story: Story, target: Target) -> None:
    story.add("sink", story.row("sink", _at(story, "sink", target)))


def _event(story: Story, kind: str, target: Target) -> int:
    """The event of that kind whose range of offsets has the target."""
    found = (story.column("events", "kind") == kind) & (story.column("events", "partition") == target.partition)
    found &= (story.column("events", "first") <= target.offset) & (story.column("events", "next") > target.offset)
    return int(np.flatnonzero(found)[0])


def _skip(story: Story, target: Target) -> None:
    """The poll that had the target went on behind it."""
    index = _event(story, "polled", target)
    polled = story.row("events", index)
    story.put("events", index, next=target.offset)
    story.add("events", polled | {"first": target.offset + 1}, at=index + 1)


def _go_back(story: Story, target: Target) -> None:
    """The poll that had the target read it again."""
    index = _event(story, "polled", target)
    polled = story.row("events", index)
    story.put("events", index, next=target.offset + 1)
    story.add("events", polled | {"first": target.offset}, at=index + 1)


def _start_too_far(story: Story, target: Target) -> None:
    """A new consumer takes the partition over behind the target, which nobody wrote."""
    story.drop("sink", _at(story, "sink", target))
    event = {"instance": "late/00000000", "n": 0, "kind": "assigned", "partition": target.partition, "first": None}
    story.add("events", event | {"next": target.offset + 1, "records": None, "at_ns": 0, "seen_ns": None})
    exact = {"partition": target.partition, "committed_offset": target.offset + 1}
    for index in reversed(story.where("lag", **exact)):
        story.drop("lag", index)
    for index in story.where("events", kind="committed", partition=target.partition, next=target.offset + 1):
        story.put("events", index, next=target.offset)


def _commit_first(story: Story, target: Target) -> None:
    """The commit that covers the target comes before its write."""
    write, commit = _event(story, "written", target), _event(story, "committed", target)
    early, late = story.row("events", write), story.row("events", commit)
    story.put("events", write, **late | {"n": early["n"]})
    story.put("events", commit, **early | {"n": late["n"]})


def _miss_an_event(story: Story, target: Target) -> None:
    event = story.row("events", _event(story, "written", target))
    same = (story.column("events", "instance") == event["instance"]) & (story.column("events", "n") == event["n"])
    story.keep("events", ~same)


def _epoch_goes_back(story: Story, target: Target) -> None:
    """The record before the target (its own, where it is the first) is of a later epoch than what follows."""
    offsets = story.column("log", "offset")[story.column("log", "partition") == target.partition]
    before = offsets[offsets < target.offset]
    row = story.where("log", partition=target.partition, offset=int(before.max()) if len(before) else target.offset)[0]
    story.put("log", row, leader_epoch=int(story.column("log", "leader_epoch").max()) + 1)


def _retention(story: Story, target: Target) -> None:
    given = story.partition(target.partition)
    given["log_start_after"] = given["start"] + 1


def _unread(story: Story, target: Target) -> None:
    """A record that the brokers count and nobody read; its send is known to have failed, so it is no loss."""
    _abort(story, target)
    _lose(story, target)


def _forget_an_attempt(story: Story, target: Target) -> None:
    """One that is not the last: without that, the ledger would only be shorter."""
    last = story.tables["attempts", target.producer].num_rows - 1
    story.drop(
        ("attempts", target.producer), story.where(("attempts", target.producer), seq=min(target.seq, last - 1))[0]
    )
    story.manifest["plan"]["messages"] -= 1


def _two_outcomes(story: Story, target: Target) -> None:
    story.add(("outcomes", target.producer), story.row(("outcomes", target.producer), _send(story, "outcomes", target)))


def _outcome_of_nothing(story: Story, target: Target) -> None:
    outcome = story.row(("outcomes", target.producer), _send(story, "outcomes", target))
    story.add(("outcomes", target.producer), outcome | {"seq": target.seq + _FAR, "offset": None, "outcome": 2})


def _send_later(story: Story, target: Target) -> None:
    """A send that was made long after the ones behind it, and after its own end."""
    index = _send(story, "attempts", target)
    sent = story.row(("attempts", target.producer), index)["sent_ns"]
    story.put(("attempts", target.producer), index, sent_ns=sent + 10**15)


def _end_before(story: Story, target: Target) -> None:
    """An end that was learnt before its send was due."""
    intended = story.row(("attempts", target.producer), _send(story, "attempts", target))["intended_ns"]
    story.put(("outcomes", target.producer), _send(story, "outcomes", target), ended_ns=intended - 1)


def _fault_without_bite(story: Story, _: Target) -> None:
    _fault(story, "inject-asked")


def _fault_without_heal(story: Story, _: Target) -> None:
    _fault(story, "inject-asked", "bites", "heal-asked")


def _fault(story: Story, *steps: str) -> None:
    now = int(story.column("faults", "at_ns").max(initial=0)) if ("faults", "") in story.tables else 0
    for step in steps:
        row = {"at_ns": now, "fault": "a-fault", "kind": "broker-kill", "target": "pod/kafka-0", "step": step}
        story.add("faults", row | {"detail": None})


def _tear_attempts(story: Story, target: Target) -> None:
    story.torn.add(("attempts", target.producer))


def _tear_events(story: Story, _: Target) -> None:
    story.torn.add(("events", ""))


def _unready(story: Story, _: Target) -> None:
    story.manifest["replicas"][0]["ready"] = False


def _idle(story: Story, _: Target) -> None:
    story.manifest["replicas"][-1]["partitions"] = []


def _fewer_than_planned(story: Story, _: Target) -> None:
    story.manifest["plan"]["messages"] += 1


def _not_drained(story: Story, _: Target) -> None:
    story.manifest["drained"] = False


def _lagging(story: Story, target: Target) -> None:
    allowed = story.manifest["objectives"]["final_lag_messages"]
    given = story.partition(target.partition)
    given["committed"] = given["end"] - allowed - 1


def _drop_etl_row(story: Story, _: Target) -> None:
    story.drop("etl", 0)


def _etl_row_in_both(story: Story, _: Target) -> None:
    story.add("etl", story.row("etl", 0) | {"fate": "rejects", "reason": "price"})


MUTATIONS: Final = (
    Mutation("acknowledged and gone", _lose, {"lost": FAIL}),
    Mutation("acknowledged and overwritten", _overwrite, {"lost": FAIL}),
    Mutation("committed and not in the sink", _lose_downstream, {"lost downstream": FAIL}),
    Mutation("written twice", _append, {"duplicate": FAIL}),
    Mutation("another value than sent", _corrupt, {"corrupt": FAIL}),
    Mutation("another hash in the header", _corrupt_header, {"corrupt": FAIL}),
    Mutation("another value in the sink", _corrupt_sink, {"corrupt in sink": FAIL}),
    Mutation("two records in the wrong order", _swap, {"reordered": FAIL}),
    Mutation("a record that was never attempted", _reach_beyond, {"phantom": FAIL}),
    Mutation("a record of an unknown run", _stranger, {"phantom": FAIL}),
    Mutation("a row beyond the log", _row_beyond, {"phantom in sink": FAIL}),
    Mutation("a row of another record", _row_of_another, {"phantom in sink": FAIL}),
    Mutation("said to have failed, and there", _abort, {"aborted read": FAIL}),
    Mutation("acknowledged at another offset", _acknowledge_elsewhere, {"inconsistent offset": FAIL}),
    Mutation("acknowledged in another partition", _acknowledge_in_another_partition, {"inconsistent offset": FAIL}),
    Mutation("two values at one offset", _two_values, {"inconsistent offset": FAIL}),
    Mutation("not consumed at the end", _leave_unseen, {"unseen": UNKNOWN}, last=True),
    Mutation("one offset twice in the sink", _redeliver, {"redelivered": FAIL}),
    Mutation("a poll that passes over a record", _skip, {"skipped": FAIL}),
    Mutation("a poll that goes back", _go_back, {"went back": FAIL}),
    Mutation("a start behind what was committed", _start_too_far, {"unsound start": FAIL, "lost downstream": FAIL}),
    Mutation("a commit before the write", _commit_first, {"commit ahead": FAIL}),
    Mutation("an event that is missing", _miss_an_event, dict.fromkeys(_CONSUMERS, UNKNOWN), alone=True),
    Mutation("a leader epoch that goes back", _epoch_goes_back, {"truncated": UNKNOWN}),
    Mutation("a log that was cut at its beginning", _retention, {"truncated": UNKNOWN}, alone=True),
    Mutation("a record that nobody read", _unread, {"conservation": UNKNOWN}),
    Mutation("a gap in the attempts", _forget_an_attempt, {"conservation": UNKNOWN}),
    Mutation("two ends of one send", _two_outcomes, {"conservation": UNKNOWN}),
    Mutation("an end without a send", _outcome_of_nothing, {"conservation": UNKNOWN}),
    Mutation("a send out of its time", _send_later, {"clock": UNKNOWN}),
    Mutation("an end before its send", _end_before, {"clock": UNKNOWN, "latency": UNKNOWN}),
    Mutation("a fault that never bit", _fault_without_bite, {"vacuous": UNKNOWN}),
    Mutation("a fault that never healed", _fault_without_heal, {"vacuous": UNKNOWN}),
    Mutation("a replica that is not ready", _unready, {"vacuous": UNKNOWN}),
    Mutation("a replica without a partition", _idle, {"vacuous": UNKNOWN}),
    Mutation("fewer messages than planned", _fewer_than_planned, {"vacuous": UNKNOWN}),
    Mutation("a drain that did not end", _not_drained, {"vacuous": UNKNOWN}),
    Mutation("a ledger of attempts without its end", _tear_attempts, {"incomplete": UNKNOWN}, alone=True),
    Mutation(
        "a ledger of events without its end",
        _tear_events,
        {"incomplete": UNKNOWN, **dict.fromkeys(_CONSUMERS, UNKNOWN)},
        alone=True,
    ),
    Mutation("too many left at the end", _lagging, {"lag": FAIL}, alone=True),
    Mutation("an extracted row that is nowhere", _drop_etl_row, {"etl conservation": FAIL}),
    Mutation("an extracted row with two fates", _etl_row_in_both, {"etl conservation": FAIL}),
)
