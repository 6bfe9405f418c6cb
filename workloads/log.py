"""Structured logs: one JSON object a line on standard error, so that standard output stays a program's result."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(level: str = "info") -> None:
    """Write every log event from now on as a JSON line with its level and UTC time.

    Args:
        level: The least level that is written: debug, info, warning or error.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # a line is one write, so that none is torn
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        handlers=[_Forward()], level=max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]), force=True
    )


class _Forward(logging.Handler):
    """Sends what libraries log to the same JSON lines."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(record.levelno, record.getMessage(), logger=record.name)
