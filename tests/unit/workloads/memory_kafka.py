"""Kafka as a consumer sees it, in memory: a topic's logs, a group over them, and dead letters.

Nothing happens by itself: a test moves partitions and decides who hears of it when, so that an order of events which a
real group shows once in a thousand runs is had at will. It keeps to Kafka's rules: commits of a member that the group
does not count any more are refused, and fetching goes on without the group's leave.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TOPIC = "commodity-prices"


class Group:
    """Logs by partition, committed offsets, and who has which partition by the coordinator's word."""

    def __init__(self, partitions: int) -> None:
        """Empty logs, nothing committed, nobody there."""
        self._partitions = partitions
        self.forget()

    def forget(self) -> None:
        """As in the beginning."""
        self.logs: dict[int, list[bytes]] = {number: [] for number in range(self._partitions)}
        self.committed: dict[int, int] = {}
        self.members: dict[str, Member] = {}
        self.owners: dict[int, Member] = {}
        #: Partitions whose commits the coordinator refuses for now.
        self.refusing: set[int] = set()

    def join(self, settings: dict[str, Any], **_: object) -> Member:
        """A member, by the name of its static membership; takes the place of `confluent_kafka.Consumer`."""
        member = self.members[settings["group.instance.id"]] = Member(self)
        return member

    def give(self, member: Member, *partitions: int) -> None:
        """Assign; the member hears of it at its next poll."""
        self.owners |= dict.fromkeys(partitions, member)
        member.hears(lambda: member.on_assign(member, _named(partitions)))

    def revoke(self, *partitions: int) -> None:
        """Ask back from whoever has them; the member answers at its next poll."""
        for member in {self.owners[number] for number in partitions}:
            mine = [number for number in partitions if self.owners[number] is member]
            member.hears(lambda member=member, mine=mine: member.revoked(mine))

    def expel(self, member: Member) -> None:
        """Take it for dead; it hears nothing of that."""
        self.owners = {number: owner for number, owner in self.owners.items() if owner is not member}


class Member:
    """Stands for `confluent_kafka.Consumer`."""

    def __init__(self, group: Group) -> None:
        """Without a partition."""
        self._group = group
        self._heard: deque[Callable[[], None]] = deque()
        #: By partition the next offset to fetch; a test may move it.
        self.positions: dict[int, int] = {}
        #: Handed over with the next poll, whatever is assigned.
        self.extra: list[Message] = []

    def hears(self, news: Callable[[], None]) -> None:
        """Say this to it at its next poll."""
        self._heard.append(news)

    def message(self, partition: int, offset: int) -> Message:
        """What the log has at this place; a record every thousand seconds."""
        value = self._group.logs[partition][offset]
        return Message(TOPIC, partition, offset, b"key", value, [], None, (1, offset * 1_000_000))

    def revoked(self, partitions: Iterable[int]) -> None:
        """Give partitions up, after the consumer did what it does then."""
        mine = [number for number in partitions if number in self.positions]
        if mine:
            self.on_revoke(self, _named(mine))
        for number in mine:
            if self._group.owners.get(number) is self:
                del self._group.owners[number]

    def lost(self) -> None:
        """Hear that the group went on without it."""
        mine = [number for number in self.positions if self._group.owners.get(number) is not self]
        if mine:
            self.on_lost(self, _named(mine))
            self.incremental_unassign(_named(mine))

    def subscribe(self, _: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        """Keep the callbacks."""
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def consume(self, count: int, _: float) -> list[Message]:
        """Hear what is new, then fetch, partition by partition."""
        while self._heard:
            self._heard.popleft()()
        messages, self.extra = self.extra, []
        for number in sorted(self.positions):
            while len(messages) < count and self.positions[number] < len(self._group.logs[number]):
                messages.append(self.message(number, self.positions[number]))
                self.positions[number] += 1
        return messages

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:  # noqa: ARG002  # as theirs
        """As the coordinator has it, for anyone."""
        return [
            TopicPartition(TOPIC, one.partition, self._group.committed.get(one.partition, -1001)) for one in partitions
        ]

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> list[Any]:  # noqa: ARG002  # as theirs
        """Refused to one that is no member; an error of all partitions is raised, one of some is given back."""
        if any(self._group.owners.get(one.partition) is not self for one in offsets):
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION))
        refused = {one.partition for one in offsets} & self._group.refusing
        if len(refused) == len(offsets):
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))
        taken = [one for one in offsets if one.partition not in refused]
        self._group.committed |= {one.partition: one.offset for one in taken}
        error = KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS)
        return [Answer(one, error if one.partition in refused else None) for one in offsets]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Fetch these from now on; without an offset from the beginning, as the reset policy says."""
        self.positions |= {one.partition: max(0, one.offset) for one in partitions}

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        """Fetch these no more."""
        for one in partitions:
            del self.positions[one.partition]

    def get_watermark_offsets(self, partition: TopicPartition, cached: bool) -> tuple[int, int]:  # noqa: ARG002  # as theirs
        """Ends of the log."""
        return 0, len(self._group.logs[partition.partition])

    def close(self) -> None:
        """Hear the last news, give everything back, and leave."""
        while self._heard:
            self._heard.popleft()()
        self.lost()
        self.revoked(list(self.positions))


class Answer:
    """What a commit gives back for a partition: a `TopicPartition` whose error can be set."""

    def __init__(self, asked: TopicPartition, error: KafkaError | None) -> None:
        """For what was asked."""
        self.partition, self.offset, self.error = asked.partition, asked.offset, error


class Letters:
    """Stands for the dead letters' writer: places of letters, and which of them are acknowledged."""

    def __init__(self) -> None:
        """None."""
        self.sent: list[tuple[int, int]] = []
        self.settled: set[tuple[int, int]] = set()

    def send(self, message: Message, _: object) -> None:
        """Take one."""
        self.sent.append((message.partition() or 0, message.offset() or 0))

    def settle(self) -> None:
        """All are acknowledged."""
        self.settled |= set(self.sent)


def _named(partitions: Iterable[int]) -> list[TopicPartition]:
    return [TopicPartition(TOPIC, number) for number in partitions]
