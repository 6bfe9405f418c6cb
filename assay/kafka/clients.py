"""Connection settings, and Kafka's errors as sentences.

Everything that decides how fast a client notices a dead broker stands here, in one table. librdkafka's defaults wait
60 s for a broker that has silently gone, which makes a recovery objective of 60 s impossible; its defaults are also
unsafe for a judge (no idempotence, no CRC check).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import KafkaError, KafkaException, libversion

from assay.errors import AssayError
from assay.kafka import identity

if TYPE_CHECKING:
    from collections.abc import Mapping

#: librdkafka's own log lines. Silent until an application configures logging: it never writes to stderr by itself.
LOG: Final = logging.getLogger("assay.kafka.librdkafka")
LOG.addHandler(logging.NullHandler())

#: How long one question to the brokers may take before Kafka counts as unreachable, in seconds.
ANSWER_SECONDS: Final = 8.0
#: The same for a question that is asked again and again: one that fell to a broker that is gone is better asked anew.
SAMPLE_ANSWER_SECONDS: Final = 1.0

CONNECTION: Final[Mapping[str, str | int]] = {
    "client.id": "assay",
    # A broker whose packets are dropped is noticed after this long (default 60,000).
    "socket.timeout.ms": 3000,
    # A connection that is not set up within this time is given up (default 30,000).
    "socket.connection.setup.timeout.ms": 3000,
    # Back-off between attempts to reach a broker (default up to 10,000).
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 1000,
    # Notice moved leaders soon even when no request fails (default 300,000).
    "topic.metadata.refresh.interval.ms": 30_000,
    "topic.metadata.refresh.fast.interval.ms": 100,
    "socket.keepalive.enable": "true",
    "socket.nagle.disable": "true",
    # One connection per request kind is no error worth a log line.
    "log.connection.close": "false",
}

#: Errors that mean "nobody answers", as opposed to "the answer is no".
SILENCE: Final = frozenset(
    {
        KafkaError._TIMED_OUT,  # noqa: SLF001  # librdkafka's local error codes carry a leading underscore
        KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001  # as above
        KafkaError._TRANSPORT,  # noqa: SLF001  # as above
        KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001  # as above
        KafkaError._RESOLVE,  # noqa: SLF001  # as above
    }
)


def settings(bootstrap: str, *tables: Mapping[str, str | int]) -> dict[str, Any]:
    """The configuration of a client of the cluster at `bootstrap`: `CONNECTION`, then `tables`, later ones winning.

    Raises:
        UsageError: The files that say who we are (`assay.kafka.identity`) are not there.
    """
    merged: dict[str, Any] = {"bootstrap.servers": bootstrap, "logger": LOG, "error_cb": _noted, **CONNECTION}
    merged.update(identity.settings())
    for table in tables:
        merged.update(table)
    return merged


def _noted(error: KafkaError) -> None:
    """Take a client's error note of: without this, a fatal one is raised out of whatever call serves the client next.

    A producer that is fenced, or whose sequence a broker does not know any more, refuses every further message with the
    reason: that is where it is told.
    """
    LOG.warning("%s: %s", error.name(), error.str())


def library() -> str:
    """The version of librdkafka itself, which is not that of its Python binding."""
    return str(libversion()[0])


def fault(bootstrap: str, doing: str, error: KafkaException | KafkaError | Exception) -> AssayError:
    """One sentence for an error met while `doing` something (a phrase such as `reading the topic prices`)."""
    cause = error.args[0] if isinstance(error, KafkaException) and error.args else error
    if isinstance(cause, KafkaError):
        if cause.code() in SILENCE:
            # A broker that wants a certificate only ends the connection of whoever shows none
            unknown = f", and whether they want a certificate ({identity.CERTIFICATE}; `assay deploy` prints it)"
            return AssayError(
                f"Kafka at {bootstrap} does not answer within {ANSWER_SECONDS:g} s: {doing} failed "
                f"({cause.name()}); check the address and that the brokers are up{'' if identity.named() else unknown}."
            )
        return AssayError(f"Kafka at {bootstrap} refused {doing}: {cause.str()} ({cause.name()}).")
    return AssayError(f"Kafka at {bootstrap}: {doing} failed: {cause}.")
