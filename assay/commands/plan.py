"""What a command sends."""

from __future__ import annotations

from typing import Any

from assay.manifest import Plan


def plan_of(messages: int, rate: float, seed: int, **changes: Any) -> Plan:
    """What is sent: to the platform's own topic, as safely as can be, except for `changes`."""
    from assay.platform import GROUP, PARTITIONS, TOPIC  # noqa: PLC0415  # see `assay.commands`

    usual = {"topic": TOPIC, "group": GROUP, "partitions": PARTITIONS}
    return Plan(**{"messages": messages, "rate_per_second": rate, "seed": seed, **usual, **changes})
