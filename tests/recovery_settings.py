"""Literal settings to compute floors from: all defaults of Kafka, librdkafka and Kubernetes, and the tuned platform."""

from __future__ import annotations

from typing import Any

from assay.recovery.setting import Setting, Settings

OBJECTIVES = {"pod crash": 30.0, "broker failure": 60.0, "network partition": 60.0, "node loss": 60.0}
#: Field, name, owner, unit, default (seconds), tuned (seconds).
_ROWS: list[tuple[str, str, str, str, float, float]] = [
    ("broker_session", "broker.session.timeout.ms", "brokers", "ms", 9.0, 2.0),
    ("broker_heartbeat", "broker.heartbeat.interval.ms", "brokers", "ms", 2.0, 0.4),
    ("quorum_fetch", "controller.quorum.fetch.timeout.ms", "brokers", "ms", 2.0, 1.0),
    ("quorum_fetch_longest", "controller.quorum.fetch.timeout.ms", "brokers", "ms", 2.0, 1.3),
    ("quorum_election", "controller.quorum.election.timeout.ms", "brokers", "ms", 1.0, 0.6),
    ("classic_session", "ANALYTICS_SESSION_TIMEOUT_MS", "consumers", "ms", 45.0, 6.0),
    ("classic_heartbeat", "ANALYTICS_HEARTBEAT_INTERVAL_MS", "consumers", "ms", 3.0, 1.0),
    ("classic_session_least", "group.min.session.timeout.ms", "group", "ms", 6.0, 6.0),
    ("consumer_session", "consumer.session.timeout.ms", "group", "ms", 45.0, 4.0),
    ("consumer_heartbeat", "consumer.heartbeat.interval.ms", "group", "ms", 5.0, 0.5),
    ("consumer_assignment", "consumer.assignment.interval.ms", "group", "ms", 1.0, 0.0),
    ("consumer_session_least", "group.consumer.min.session.timeout.ms", "group", "ms", 45.0, 4.0),
    ("consumers_socket", "KAFKA_CLIENT_SOCKET_TIMEOUT_MS", "consumers", "ms", 60.0, 3.0),
    ("load_socket", "socket.timeout.ms", "load", "ms", 60.0, 3.0),
    ("consumers_retry", "KAFKA_CLIENT_RETRY_BACKOFF_MAX_MS", "consumers", "ms", 1.0, 0.5),
    ("load_retry", "retry.backoff.max.ms", "load", "ms", 1.0, 0.5),
    ("flush", "ANALYTICS_FLUSH_SECONDS", "consumers", "s", 1.0, 1.0),
    ("node_lease", "nodeLeaseDurationSeconds", "nodes", "s", 40.0, 20.0),
    ("node_grace", "node-monitor-grace-period", "controller manager", "s", 50.0, 20.0),
    ("node_monitor", "node-monitor-period", "controller manager", "s", 5.0, 2.0),
    ("toleration", "tolerationSeconds", "consumer pods", "s", 300.0, 10.0),
]


def defaults(protocol: str = "CLASSIC", *, static: bool | None = False, **seconds: float | None) -> Settings:
    """What nobody has touched, but for these fields; None: unknown."""
    return _settings(4, protocol, static=static, seconds=seconds)


def tuned(protocol: str = "CLASSIC", *, static: bool | None = False, **seconds: float | None) -> Settings:
    """The platform as it is shipped, but for these fields; None: unknown."""
    return _settings(5, protocol, static=static, seconds=seconds)


def _settings(column: int, protocol: str, *, static: bool | None, seconds: dict[str, float | None]) -> Settings:
    found: dict[str, Any] = {
        row[0]: Setting(
            row[1],
            row[2],
            seconds.get(row[0], row[column]),  # type: ignore[arg-type]  # the columns of numbers
            row[3],
            "nobody said" if row[0] in seconds and seconds[row[0]] is None else "",
        )
        for row in _ROWS
    }
    return Settings(**found, protocol=protocol, static=static)
