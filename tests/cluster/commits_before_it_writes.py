"""The real consumer with one thing wrong: it commits its offsets, pauses, and only then writes the rows they stand for.

A test hands this text to `python3 -c` in the consumers' pods.
"""

import time

from confluent_kafka import TopicPartition

from workloads.analytics import __main__ as program
from workloads.analytics.consumer import Analytics

PAUSE_SECONDS = 5.0


class CommitsBeforeItWrites(Analytics):
    """The real one, but for the order."""

    def _flush(self) -> None:
        ends = {row.kafka_partition: row.kafka_offset + 1 for row in self._rows}
        if ends:
            topic = self._settings.topic
            offsets = [TopicPartition(topic, partition, end) for partition, end in ends.items()]
            self._consumer.commit(offsets=offsets, asynchronous=False)
            time.sleep(PAUSE_SECONDS)
        super()._flush()


program.Analytics = CommitsBeforeItWrites
program.main()
