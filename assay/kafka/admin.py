"""Facts about topics, groups and settings, each asked of the brokers and none remembered.

Every question either gets an answer in time or ends in one sentence.
"""

from __future__ import annotations

import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public by the documentation, not by the stub
    AdminClient,
    ConfigResource,
    ResourceType,
)

from assay.errors import AssayError
from assay.kafka import clients

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

#: A future is waited for a little longer than librdkafka waits for the broker, so that librdkafka's reason wins.
_GRACE_SECONDS: Final = 2.0
#: The least that a question is given, and the pause before it is put to the next leader, in seconds.
_LEAST_SECONDS, _PAUSE_SECONDS = 0.1, 0.1
#: Of a consumer that only asks; uncommitted records count: they are in the log.
_ASKS_ONLY: Final[Mapping[str, str | int]] = {
    "enable.auto.commit": "false",
    "isolation.level": "read_uncommitted",
}
#: The group in whose name it asks where a topic begins and ends.
_OFFSETS_ONLY: Final = "assay-offsets"
#: Kafka's answers while a leader changes; a broker that has just started may not know any topic yet.
_MOVED: Final = frozenset(
    {
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001  # librdkafka's local error codes carry a leading underscore
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001  # as above
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.OFFSET_NOT_AVAILABLE,  # a new leader does not know yet how far the others are (KIP-207)
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)


@dataclass(frozen=True)
class PartitionFacts:
    """A partition: the broker that leads it (None: nobody), and the brokers that hold it and are in sync."""

    leader: int | None
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]

    @property
    def strayed(self) -> bool:
        """Whether another broker leads it than the first that holds it, which Kafka prefers."""
        return self.leader != self.replicas[0]

    @property
    def whole(self) -> bool:
        """Whether somebody leads it and every broker that holds it is in sync."""
        return self.leader is not None and len(self.in_sync) == len(self.replicas)


@dataclass(frozen=True)
class TopicFacts:
    """A topic: its partitions by number, and its effective settings."""

    name: str
    partitions: Mapping[int, PartitionFacts]
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Member:
    """A member of a consumer group: what it says of itself, where it comes from, and its partitions by topic."""

    member_id: str
    client_id: str
    host: str
    instance_id: str | None
    partitions: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Group:
    """A consumer group; state (`STABLE`, `EMPTY`, `DEAD`, …) and protocol (`CLASSIC`, `CONSUMER`) in Kafka's words."""

    name: str
    state: str
    protocol: str
    members: tuple[Member, ...]


class Admin:
    """Asks one cluster's brokers. Keep one for repeated questions: it keeps its connections."""

    def __init__(self, bootstrap: str, answer_seconds: float = clients.ANSWER_SECONDS) -> None:
        """Set a client up; nothing is asked yet.

        Args:
            bootstrap: Addresses of the brokers, `host:port,...`.
            answer_seconds: How long one question may take.

        Raises:
            AssayError: The address makes no sense.
        """
        self.bootstrap = bootstrap
        self._answer_seconds = answer_seconds
        self._limit: Mapping[str, Any] = {"request_timeout": answer_seconds}
        self._askers: dict[str, Consumer] = {}
        self._outdated = False
        try:
            self._client = AdminClient(clients.settings(bootstrap))
        except KafkaException as error:
            raise clients.fault(bootstrap, "setting up a client", error) from None

    def topic(self, name: str) -> TopicFacts:
        """What a topic is like now.

        Raises:
            AssayError: There is no such topic, or Kafka does not answer.
        """
        doing = f"looking the topic {name} up"
        described = self._one(self._client.describe_topics(TopicCollection([name]), **self._limit), doing)
        partitions = {
            partition.id: PartitionFacts(
                None if partition.leader is None else _broker(partition.leader.id),
                tuple(node.id for node in partition.replicas),
                tuple(sorted(node.id for node in partition.isr)),
            )
            for partition in described.partitions
        }
        return TopicFacts(name, partitions, self._settings(ResourceType.TOPIC, name))

    def partitions(self, topic: str) -> dict[int, PartitionFacts]:
        """The partitions of a topic by number, as any one of the brokers knows them: the view that clients have.

        Raises:
            AssayError: There is no such topic, or the broker that was asked does not answer.
        """
        doing = f"looking the topic {topic} up"
        try:
            found = self._client.list_topics(topic, self._answer_seconds).topics[topic]
        except KafkaException as error:
            raise clients.fault(self.bootstrap, doing, error) from None
        if found.error is not None:
            raise clients.fault(self.bootstrap, doing, found.error)
        return {
            number: PartitionFacts(_broker(one.leader), tuple(one.replicas), tuple(sorted(one.isrs)))
            for number, one in found.partitions.items()
        }

    def watermarks(self, topic: str) -> dict[int, tuple[int, int]]:
        """The first offset and the end offset (of the next record) of each partition.

        Raises:
            AssayError: There is no such topic, a partition has no leader, or Kafka does not answer.
        """
        numbers = self._numbers(topic)
        low = self._offsets(topic, numbers, OFFSET_BEGINNING)
        high = self._offsets(topic, numbers, OFFSET_END)
        return {number: (low[number], high[number]) for number in numbers}

    def ends(self, topic: str, partitions: list[int]) -> dict[int, int]:
        """The end offset of each of `partitions`; one question a broker.

        Raises:
            AssayError: As for `watermarks`.
        """
        return self._offsets(topic, partitions, OFFSET_END)

    def committed(self, group: str, topic: str) -> dict[int, int | None]:
        """The group's committed offset of each partition; None where it never committed.

        Raises:
            AssayError: There is no such topic, or Kafka does not answer.
        """
        return self.committed_of(group, topic, self._numbers(topic))

    def committed_of(self, group: str, topic: str, partitions: list[int]) -> dict[int, int | None]:
        """As `committed`, for partitions already known: one question.

        Raises:
            AssayError: Kafka does not answer.
        """
        doing = f"asking for the offsets of the group {group}"
        try:
            asked = [TopicPartition(topic, number) for number in partitions]
            answer = self._asker(group).committed(asked, self._answer_seconds)
        except KafkaException as error:
            raise clients.fault(self.bootstrap, doing, error) from None
        offsets: dict[int, int | None] = dict.fromkeys(partitions)
        for place in answer:
            if place.error is not None:
                raise clients.fault(self.bootstrap, doing, place.error)
            offsets[place.partition] = place.offset if place.offset >= 0 else None
        return offsets

    def group(self, name: str) -> Group:
        """A consumer group as its coordinator describes it, of the classic or the consumer protocol.

        A group that nobody knows is described as `DEAD` and without members. While a group of the consumer protocol
        moves partitions its state is `UNKNOWN` (the library has no name for it).

        Raises:
            AssayError: Kafka does not answer, or has no coordinator for it yet.
        """
        described = self._described(name, f"looking the group {name} up")
        if described is None:
            return Group(name, "DEAD", "UNKNOWN", ())
        members = tuple(
            Member(
                member.member_id,
                member.client_id,
                member.host.lstrip("/"),
                member.group_instance_id,
                _by_topic(member.assignment.topic_partitions if member.assignment else ()),
            )
            for member in described.members
        )
        return Group(name, described.state.name, described.type.name, members)

    def coordinator(self, group: str) -> int | None:
        """The broker that coordinates a consumer group; None for a group that nobody knows.

        Raises:
            AssayError: Kafka does not answer, or has no coordinator for it yet.
        """
        described = self._described(group, f"asking for the coordinator of the group {group}")
        known = described is not None and described.state.name != "DEAD" and described.coordinator is not None
        return _broker(described.coordinator.id) if known else None

    def group_settings(self, group: str) -> dict[str, str]:
        """The broker's settings that rule consumer groups, with those of `group` itself where it has its own.

        Names as Kafka has them: `group.…` and `offsets.…` of a broker, `consumer.…` of the group.

        Raises:
            AssayError: Kafka does not answer.
        """
        broker = {
            name: value
            for name, value in self.broker_settings().items()
            if name.startswith(("group.", "offsets.retention"))
        }
        return broker | self._settings(ResourceType.GROUP, group)

    def broker_settings(self, broker: int | None = None) -> dict[str, str]:
        """The effective settings of a broker (None: the lowest id); secrets are left out by the broker.

        Raises:
            AssayError: Kafka does not answer.
        """
        return self._settings(ResourceType.BROKER, str(min(self.brokers()) if broker is None else broker))

    def brokers(self) -> dict[int, str]:
        """The brokers that are there now: `host:port` by id.

        Raises:
            AssayError: Kafka does not answer.
        """
        doing = "asking which brokers there are"
        described = self._answer(self._client.describe_cluster(**self._limit), doing)
        return {node.id: f"{node.host}:{node.port}" for node in described.nodes}

    def _asker(self, group: str) -> Consumer:
        """A consumer that subscribes to nothing and joins nothing: it only asks, in the name of a group.

        Offsets are not asked for by librdkafka's admin client: where a coordinator or leader dies meanwhile, 2.16
        may abort the whole process (`rd_kafka_enq_once_del_source_return`: assertion `eonce->refcnt > 0`), and a death
        of a broker is just when offsets are asked for. Consumers ask in another way.
        """
        if group not in self._askers:
            self._askers[group] = Consumer(clients.settings(self.bootstrap, _ASKS_ONLY, {"group.id": group}))
        return self._askers[group]

    def _numbers(self, topic: str) -> list[int]:
        doing = f"looking the topic {topic} up"
        described = self._one(self._client.describe_topics(TopicCollection([topic]), **self._limit), doing)
        return sorted(partition.id for partition in described.partitions)

    def _offsets(self, topic: str, numbers: list[int], which: int) -> dict[int, int]:
        """Ask with ListOffsets and Kafka's own stand-ins for a time: -2 the first offset, -1 the end.

        The library asks whom it remembers as leader, dead or not, until it is told to look anew: so each question after
        one that failed begins with that.
        """
        doing = f"asking for the offsets of the topic {topic}"
        asked = [TopicPartition(topic, number, which) for number in numbers]
        asker = self._asker(_OFFSETS_ONLY)
        deadline = time.monotonic() + self._answer_seconds
        while True:
            left = max(_LEAST_SECONDS, deadline - time.monotonic())
            try:
                if self._outdated:
                    asker.list_topics(topic, left)
                    self._outdated = False
                answers = asker.offsets_for_times(asked, left)
                error = next((place.error for place in answers if place.error is not None), None)
            except KafkaException as raised:
                error = raised.args[0]
            if error is None:
                return {place.partition: place.offset for place in answers}
            self._outdated = True
            if error.code() not in _MOVED or time.monotonic() >= deadline:
                raise clients.fault(self.bootstrap, doing, error)
            time.sleep(_PAUSE_SECONDS)

    def _described(self, group: str, doing: str) -> Any:
        """A group as its coordinator describes it; None: nobody knows it.

        librdkafka's admin client asks whom it remembers as coordinator, and goes on to remember who answers that it is
        none (`rdkafka_coord.c`: what is used again does not expire). Then a client that remembers nobody asks.
        """
        (future,) = self._client.describe_consumer_groups([group], **self._limit).values()
        if self._moved(future):
            self._client = AdminClient(clients.settings(self.bootstrap))
            (future,) = self._client.describe_consumer_groups([group], **self._limit).values()
        return self._answer(future, doing, absent=KafkaError.GROUP_ID_NOT_FOUND)

    def _moved(self, future: Future[Any]) -> bool:
        try:
            error = future.exception(self._answer_seconds + _GRACE_SECONDS)
        except FutureTimeoutError:
            return False
        return isinstance(error, KafkaException) and error.args[0].code() == KafkaError.NOT_COORDINATOR

    def _settings(self, kind: ResourceType, name: str) -> dict[str, str]:
        doing = f"reading the settings of the {kind.name.lower()} {name}"
        entries = self._one(self._client.describe_configs([ConfigResource(kind, name)], **self._limit), doing)
        return {entry.name: entry.value for entry in entries.values() if entry.value is not None}

    def _one(self, futures: Mapping[Any, Future[Any]], doing: str, absent: int | None = None) -> Any:
        (future,) = futures.values()
        return self._answer(future, doing, absent)

    def _answer(self, future: Future[Any], doing: str, absent: int | None = None) -> Any:
        try:
            return future.result(self._answer_seconds + _GRACE_SECONDS)
        except KafkaException as error:
            cause = error.args[0]
            if cause.code() == absent:
                return None
            if cause.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise AssayError(
                    f"Kafka at {self.bootstrap}: {doing} failed: there is no such topic; create it or name another."
                ) from None
            raise clients.fault(self.bootstrap, doing, error) from None
        except FutureTimeoutError:
            silence = KafkaError(KafkaError._TIMED_OUT)  # noqa: SLF001  # librdkafka's local error codes are named so
            raise clients.fault(self.bootstrap, doing, silence) from None


def _broker(number: int) -> int | None:
    """A broker's id; librdkafka says -1 for nobody."""
    return number if number >= 0 else None


def _by_topic(places: list[TopicPartition] | tuple[()]) -> dict[str, tuple[int, ...]]:
    topics: dict[str, list[int]] = {}
    for place in places:
        topics.setdefault(place.topic, []).append(place.partition)
    return {topic: tuple(sorted(numbers)) for topic, numbers in topics.items()}
