"""What the consumer measures, and the HTTP server for `/metrics`, `/ready` and `/live`."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0

if TYPE_CHECKING:
    from collections.abc import Iterable

    from workloads.analytics.health import Health
    from workloads.analytics.window import WindowRow

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All metrics of one consumer, in a registry of its own."""

    def __init__(self) -> None:
        """Every metric at zero."""
        own = self.registry = CollectorRegistry()
        part = ("partition",)
        self.consumed = Counter("analytics_messages_total", "Messages taken from Kafka.", part, registry=own)
        self.rows = Counter("analytics_rows_written_total", "Rows made durable.", ("table",), registry=own)
        self.skipped = Counter(
            "analytics_rows_skipped_total", "Rows that the sink already had.", ("table",), registry=own
        )
        self.poison = Counter(
            "analytics_dlq_total", "Messages sent to the dead-letter topic.", ("reason",), registry=own
        )
        self.conflicts = Counter("analytics_sink_conflicts_total", "Commits another writer forestalled.", registry=own)
        self.batch = Histogram("analytics_batch_seconds", "Time to process one batch.", buckets=_BUCKETS, registry=own)
        self.append = Histogram(
            "analytics_sink_append_seconds", "Time of one append.", ("table",), buckets=_BUCKETS, registry=own
        )
        self.commit = Histogram(
            "analytics_offset_commit_seconds", "Time of one offset commit.", buckets=_BUCKETS, registry=own
        )
        self.commit_failures = Counter("analytics_offset_commit_failures_total", "Failed offset commits.", registry=own)
        self.rebalances = Counter("analytics_rebalances_total", "Assignments and revocations.", ("kind",), registry=own)
        self.lag = Gauge("analytics_consumer_lag", "Records behind the broker's end.", part, registry=own)
        self.assigned = Gauge("analytics_assigned_partitions", "Partitions assigned now.", registry=own)
        names = ("commodity",)
        self.close = Gauge("analytics_window_close", "Last price of the last window.", names, registry=own)
        self.mean = Gauge("analytics_window_mean", "Mean price of the last window.", names, registry=own)
        self.volatility = Gauge("analytics_window_volatility", "Volatility of the last window.", names, registry=own)
        self.count = Gauge("analytics_window_records", "Records in the last window.", names, registry=own)

    def windows(self, rows: Iterable[WindowRow]) -> None:
        """Show closed windows; of several for one commodity the last counts."""
        for row in rows:
            self.close.labels(row.commodity).set(row.close)
            self.mean.labels(row.commodity).set(row.mean)
            self.volatility.labels(row.commodity).set(row.volatility)
            self.count.labels(row.commodity).set(row.count)

    def give_up(self, partitions: Iterable[int]) -> None:
        """Forget the lag of partitions that are someone else's now."""
        for partition in partitions:
            self.lag.remove(str(partition))


class _Server(ThreadingHTTPServer):
    """A thread a request; a request that fails is a line of the log like any other, not a traceback between them."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A probe that did not wait for its answer, usually."""
        structlog.get_logger().warning("http.failed", error=repr(sys.exception()))


def serve(host: str, port: int, metrics: Metrics, health: Health) -> ThreadingHTTPServer:
    """Serve `/metrics`, `/ready` and `/live` in the background.

    Raises:
        OSError: The port can't be had.
    """

    class Handler(BaseHTTPRequestHandler):
        """Answers from the metrics and health at hand."""

        def do_GET(self) -> None:
            """One of the three pages, or 404."""
            kind = "text/plain; charset=utf-8"
            if self.path == "/metrics":
                status, body, kind = 200, generate_latest(metrics.registry), CONTENT_TYPE_PLAIN_1_0_0
            elif self.path in {"/ready", "/live"}:
                well, why = health.ready() if self.path == "/ready" else health.live()
                status, body = (200 if well else 503), f"{why}\n".encode()
            else:
                status, body = 404, b"There are /metrics, /ready and /live.\n"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds: nothing to log."""

    server = _Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server
