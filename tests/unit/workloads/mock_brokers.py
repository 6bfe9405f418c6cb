"""librdkafka's own mock brokers, as one object that tests share.

They are made through librdkafka's C interface, since the setting that Python has for them (`test.mock.num.brokers`)
leaves a group waiting 3 s for more members whenever it is empty, which is most of what such a test would last.
"""

from __future__ import annotations

import ctypes
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition, cimpl

_RD_KAFKA_PRODUCER = 0


def _library() -> ctypes.CDLL:
    """The librdkafka that confluent-kafka brings, with what is used of it here (rdkafka.h, rdkafka_mock.h)."""
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", number, [pointer, text, text, text, ctypes.c_size_t]),
        ("rd_kafka_new", pointer, [number, pointer, text, ctypes.c_size_t]),
        ("rd_kafka_destroy", None, [pointer]),
        ("rd_kafka_mock_cluster_new", pointer, [pointer, number]),
        ("rd_kafka_mock_cluster_bootstraps", text, [pointer]),
        ("rd_kafka_mock_cluster_destroy", None, [pointer]),
        ("rd_kafka_mock_topic_create", number, [pointer, text, number, number]),
        ("rd_kafka_mock_group_initial_rebalance_delay_ms", None, [pointer, ctypes.c_int32]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class MockBrokers:
    """One mocked broker and what is in it."""

    def __init__(self, topic: str) -> None:
        """Start it in this process, with a topic of one partition; others appear when they are used, with four."""
        self._library = library = _library()
        reason = ctypes.create_string_buffer(512)
        settings = library.rd_kafka_conf_new()
        library.rd_kafka_conf_set(settings, b"log_level", b"0", reason, len(reason))
        self._handle = library.rd_kafka_new(_RD_KAFKA_PRODUCER, settings, reason, len(reason))
        assert self._handle, reason.value
        self._cluster = library.rd_kafka_mock_cluster_new(self._handle, 1)
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        assert library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), 1, 1) == 0
        self.address: str = library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def close(self) -> None:
        """Stop it; clients must have ended before."""
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)

    def producer(self, **settings: Any) -> Producer:
        """A producer of these brokers."""
        return Producer({"bootstrap.servers": self.address, "enable.idempotence": True, "log_level": 0} | settings)

    def read(self, topic: str, count: int) -> list[Any]:
        """So many messages of a topic, from its beginning."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": "reader", "log_level": 0})
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        messages: list[Any] = []
        while len(messages) < count:
            found = consumer.consume(count, 5.0)
            assert found, f"only {len(messages)} of {count} messages in {topic}"
            messages += found
        consumer.close()
        return messages

    def committed(self, group: str, topic: str) -> int:
        """A group's committed offset of the topic's partition 0; negative where there is none."""
        consumer = Consumer({"bootstrap.servers": self.address, "group.id": group, "log_level": 0})
        (found,) = consumer.committed([TopicPartition(topic, 0)], timeout=10)
        consumer.close()
        return int(found.offset)
