"""`python3 -m workloads.analytics`: consume until SIGTERM; the exit codes are in workloads/README.md."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

import stamina
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from workloads import log
from workloads.analytics.consumer import Analytics, ConsumerError
from workloads.analytics.deadletters import DeadLetters, DeadLettersError
from workloads.analytics.health import Health
from workloads.analytics.journal import Journal, name_instance
from workloads.analytics.metrics import Metrics, serve
from workloads.analytics.settings import AnalyticsSettings
from workloads.analytics.sink import SinkError, open_sink
from workloads.settings import UNAVAILABLE, USAGE, SettingsError, load, refuse

if TYPE_CHECKING:
    from types import FrameType

_REQUEST_SECONDS: Final = 10.0


def main() -> None:
    """Consume until SIGTERM or SIGINT."""
    try:
        settings = load(AnalyticsSettings)
        address = settings.catalog_address()
    except SettingsError as error:
        refuse(str(error), USAGE)
    except OSError as error:
        refuse(f"The password file {error.filename} can't be read ({error.strerror}): mount the Secret there.", USAGE)
    log.configure(settings.log_level)
    stop = threading.Event()

    def stopped(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGINT, stopped)

    metrics, health = Metrics(), Health(settings.progress_seconds)
    try:
        server = serve(settings.host, settings.port, metrics, health)
    except OSError as error:
        refuse(f"The port {settings.host}:{settings.port} can't be had ({error.strerror}): set ANALYTICS_PORT.", USAGE)
    try:
        _consume(settings, address, metrics, health, stop)
    except _UnavailableError as error:
        refuse(str(error), UNAVAILABLE)
    except (SinkError, DeadLettersError, ConsumerError) as error:
        refuse(str(error), 1)
    except KafkaException as error:
        refuse(f"Kafka at {settings.bootstrap_servers} failed ({error.args[0].str()}): check the brokers.", 1)
    finally:
        server.shutdown()
    sys.exit(0)


class _UnavailableError(RuntimeError):
    """Something that is needed from the start can't be reached; the message says what."""


def _consume(
    settings: AnalyticsSettings, address: str, metrics: Metrics, health: Health, stop: threading.Event
) -> None:
    topic_id = _topic_id(settings, health)
    journal = Journal(name_instance())
    try:
        sink = open_sink(
            (settings.catalog_name, address, settings.warehouse),
            topic_id,
            journal.instance,
            start_seconds=settings.start_seconds,
            retry_seconds=settings.sink_retry_seconds,
            beat=health.beat,
        )
    except SinkError as error:
        raise _UnavailableError(str(error)) from None
    letters = DeadLetters(settings.producer(), settings.dlq_topic)
    Analytics(settings, sink, letters, journal, metrics=metrics, health=health).run(stop.is_set)


def _topic_id(settings: AnalyticsSettings, health: Health) -> str:
    """The id that Kafka gave the topic; waits for the brokers."""
    admin = AdminClient(settings.client(), logger=logging.getLogger("librdkafka"))
    limit = min(_REQUEST_SECONDS, settings.start_seconds)
    try:
        for attempt in stamina.retry_context(
            on=KafkaException, attempts=None, timeout=settings.start_seconds, wait_max=2.0
        ):
            with attempt:
                health.beat()
                asked = admin.describe_topics(TopicCollection([settings.topic]), request_timeout=limit)
                described = asked[settings.topic].result()
    except KafkaException as error:
        raise _UnavailableError(
            f"The topic {settings.topic} of Kafka at {settings.bootstrap_servers} can't be read "
            f"({error.args[0].str()}): check addresses, brokers and that the topic exists."
        ) from None
    return str(described.topic_id)


if __name__ == "__main__":
    main()
