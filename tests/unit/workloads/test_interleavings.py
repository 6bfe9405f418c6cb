"""Exactly once, whatever happens in whatever order: consumers that crash anywhere, stall, come back, and are replaced.

The loop and the sink are the real ones, on real Iceberg tables; only Kafka is played, so that every order can be had.
A seed is a story; a failure says its steps.
"""

from __future__ import annotations

import json
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from lake import Lake
from memory_kafka import Member
from node import GOOD, Node
from pyiceberg.catalog.sql import SqlCatalog
from structlog.testing import capture_logs

from workloads.headers import payload_hash

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from pathlib import Path

    from memory_kafka import Group

POISON = b"not json"


class Crash(BaseException):
    """The end of a process: nothing catches it."""


class Story:
    """Three consumers and two partitions; at each step something happens to one of each."""

    def __init__(self, seed: int, lake: Lake, group: Group, lines: list[MutableMapping[str, Any]]) -> None:
        """Three consumers that have joined, two of them with a partition to come."""
        self._random = Random(seed)  # noqa: S311  # a story, not a secret
        self._lake = lake
        self._group = group
        self._lines = lines
        self._made = self._written = 0
        self._letters: list[Any] = []
        self._commits: list[tuple[int, int | None, int]] = []
        #: Steps that reach the outside (commits of the catalog and of offsets, before and after each) until the crash.
        self._fuse: int | None = None
        self.steps: list[str] = []
        self._nodes = [self._node() for _ in range(3)]
        for number in group.logs:
            group.give(self._nodes[number].member, number)

    def _node(self, flush_seconds: float = 60.0) -> Node:
        node = Node(
            f"node {self._made}",
            self._group,
            self._lake,
            flush_seconds=flush_seconds,
            flush_rows=4,
            batch_size=3,
            window_seconds=3000.0,
            lateness_seconds=0.0,
        )
        self._made += 1
        self._letters.append(node.letters)
        node.analytics.start()
        return node

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the fuse burn, and look at what is committed."""
        monkeypatch.setattr(SqlCatalog, "commit_table", self._fused(SqlCatalog.commit_table))
        monkeypatch.setattr("memory_kafka.Member.commit", self._checked(self._fused(Member.commit)))

    def _burn(self) -> None:
        if self._fuse is not None:
            self._fuse -= 1
            if self._fuse < 0:
                raise Crash

    def _fused(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def fused(*arguments: Any, **named: Any) -> Any:
            self._burn()
            answer = original(*arguments, **named)
            self._burn()
            return answer

        return fused

    def _checked(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def checked(member: Member, offsets: list[Any], **named: Any) -> Any:
            before = self._group.committed.copy()
            try:
                return original(member, offsets, **named)
            finally:
                for number, after in self._group.committed.items():
                    if after != before.get(number):
                        self._commits.append((number, before.get(number), after))
                        self._check_durable(number, after)

        return checked

    def _check_durable(self, number: int, end: int) -> None:
        snapshot = self._lake.table().current_snapshot()
        assert snapshot is not None
        assert snapshot.summary is not None
        held = int(snapshot.summary.additional_properties.get(f"kafka.topic.{number}", 0))
        letters = {place for one in self._letters for place in one.settled}
        for offset, value in enumerate(self._group.logs[number][:end]):
            assert offset < held if value != POISON else (number, offset) in letters

    def step(self) -> None:
        """Something happens."""
        happens = self._random.choices(
            [self._produce, self._turn, self._crash, self._hear, self._hand_over, self._take_away, self._cut_off],
            weights=[6, 8, 3, 2, 2, 2, 1],
        )[0]
        node, partition = self._random.randrange(3), self._random.randrange(2)
        self.steps.append(f"{happens.__name__} {self._nodes[node].name} partition {partition}")
        happens(node, partition)

    def _produce(self, _: int, partition: int) -> None:
        """Messages come."""
        self._group.logs[partition] += self._values()

    def _turn(self, node: int, _: int) -> None:
        """A consumer does its work, whether or not the group still counts it."""
        self._nodes[node].analytics.turn()

    def _crash(self, node: int, partition: int) -> None:
        """A consumer, a partition's owner if there is one, ends somewhere in its work, or after it; another starts."""
        owner = self._group.owners.get(partition)
        node = next((number for number, one in enumerate(self._nodes) if one.member is owner), node)
        victim = self._nodes[node]
        self._produce(node, partition)
        self._fuse = self._random.randrange(6)
        self.steps[-1] += f" fuse {self._fuse}"
        try:
            for _ in range(3):
                victim.analytics.turn()
        except Crash:
            self.steps[-1] += " blown"
        finally:
            self._fuse = None
        self._group.expel(victim.member)
        self._nodes[node] = self._node()

    def _hear(self, node: int, partition: int) -> None:
        """A consumer hears what the group took from it."""
        member = self._nodes[node].member
        member.hears(member.lost)
        self._turn(node, partition)

    def _hand_over(self, node: int, partition: int) -> None:
        """A partition changes hands in good order."""
        owner = self._group.owners.get(partition)
        if owner is not None:
            self._group.revoke(partition)
            for one in self._nodes:
                if one.member is owner:
                    one.analytics.turn()
        self._take_away(node, partition)

    def _take_away(self, node: int, partition: int) -> bool:
        """A partition's owner is thought dead: another gets it, and the owner hears nothing of that."""
        member = self._nodes[node].member
        if partition in member.positions or self._group.owners.get(partition) is member:
            return False
        self._group.give(member, partition)
        return True

    def _cut_off(self, node: int, partition: int) -> None:
        """Another gets the partition, and before it reads on, an unclean election replaces what nobody had written."""
        if self._take_away(node, partition):
            member = self._nodes[node].member

            def cut() -> None:
                start = member.positions.get(partition)
                if start is not None and start < len(self._group.logs[partition]):
                    self._group.logs[partition][start:] = self._values()

            member.hears(cut)
            self._turn(node, partition)

    def _values(self) -> list[bytes]:
        count = self._random.randint(1, 5)
        self._written += count
        return [
            POISON
            if self._random.random() < 0.2
            else json.dumps(json.loads(GOOD) | {"price": self._written - one}).encode()
            for one in range(count)
        ]

    def end(self) -> None:
        """One that was never there gets all; then the others come back with what they have; then it is counted."""
        last = self._node(flush_seconds=1e-9)
        for node in self._nodes:
            self._group.expel(node.member)
        self._give_all(last)
        last.analytics.turn()
        for node in self._nodes:
            node.analytics.turn()
            node.analytics.turn()
        for _ in range(2 + sum(len(log) for log in self._group.logs.values())):
            self._give_all(last)  # claims that came late may have shut it out: it joined again
            last.analytics.turn()
        self._count()
        self._audit()

    def _give_all(self, node: Node) -> None:
        for number in self._group.logs:
            if self._group.owners.get(number) is not node.member:
                self._group.give(node.member, number)

    def _count(self) -> None:
        expected = {
            (number, offset): payload_hash(value)
            for number, log in self._group.logs.items()
            for offset, value in enumerate(log)
            if value != POISON
        }
        rows = self._lake.rows()
        assert Counter((one["kafka_partition"], one["kafka_offset"]) for one in rows) == Counter(
            dict.fromkeys(expected, 1)
        )
        assert {(one["kafka_partition"], one["kafka_offset"]): one["payload_hash"] for one in rows} == expected
        windowed = Counter()
        for one in self._lake.rows("commodity.windows"):
            windowed[one["kafka_partition"]] += one["count"]
        for number, resume in self._lake.sink("reader").claim(self._group.logs).items():
            for start, _, values in orjson.loads(resume.windows or "[0, 0, []]")[2]:
                if start + 3_000_000_000 > resume.written_until:
                    windowed[number] += values[1]
        assert +windowed == Counter(number for number, _ in expected)
        assert self._group.committed == {number: len(log) for number, log in self._group.logs.items() if log}

    def _audit(self) -> None:
        """The events agree with each other and with the sink."""
        rows = {(one["kafka_partition"], one["kafka_offset"]) for one in self._lake.rows()}
        letters = {place for one in self._letters for place in one.settled}
        numbers: dict[str, int] = {}
        for line in self._lines:
            if "ranges" not in line:
                continue
            assert line["n"] == numbers.get(line["instance"], 0)
            numbers[line["instance"]] = line["n"] + 1
            for partition, first, after, _ in line["ranges"]:
                if line["event"] == "consumer.written":
                    assert {(partition, offset) for offset in range(first, after)} <= rows | letters
                elif line["event"] == "consumer.committed":
                    assert (partition, first, after) in self._commits


@pytest.mark.timeout(300)
def test_each_message_is_a_row_or_a_dead_letter_once(tmp_path: Path, group: Group) -> None:
    """Rows, windows, offsets and events, at the end of any story; and the stories are not all harmless."""
    seen: Counter[str] = Counter()
    for seed in range(5):
        group.forget()
        with capture_logs() as lines, pytest.MonkeyPatch.context() as monkeypatch:
            (tmp_path / str(seed)).mkdir()
            story = Story(seed, Lake(tmp_path / str(seed)), group, lines)
            story.patch(monkeypatch)
            try:
                for _ in range(25):
                    story.step()
                story.end()
            except Exception as error:
                error.add_note("\n".join([f"seed {seed}", *story.steps]))
                raise
        seen.update(line["event"] for line in lines)
        seen.update(step.split()[-1] for step in story.steps)
    assert seen.keys() >= {"consumer.fenced", "consumer.lost", "consumer.commit_failed", "blown"}
