"""The producer's settings as a load really uses them: the safe ones, and what a user sets over them.

That an unsafe producer loses messages is worth showing, so anything that librdkafka takes may be set, except what would
send elsewhere than where the judge looks, or would put a secret into the evidence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, Producer

from assay.errors import UsageError
from assay.kafka import clients
from assay.kafka.producer import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OPTION: Final = "--producer-setting"
#: librdkafka's second names of what is set here or looked at afterwards (its CONFIGURATION.md), by the second name.
_SAME: Final[Mapping[str, str]] = {
    "request.required.acks": "acks",
    "delivery.timeout.ms": "message.timeout.ms",
    "queue.buffering.max.ms": "linger.ms",
    "compression.codec": "compression.type",
}
_ELSEWHERE: Final = frozenset({"bootstrap.servers", "metadata.broker.list"})
_SECRET: Final = re.compile(r"password|secret|token|\.pem$|oauthbearer\.config")
_FILE: Final = re.compile(r"ssl\..*\.location$")
#: If librdkafka may try without end (`message.timeout.ms` 0), how long a load waits all the same, in milliseconds.
_ENDLESS_MS: Final = 300_000


def parse(pairs: Sequence[str]) -> dict[str, str]:
    """Settings given as NAME=VALUE, each under its first name, as librdkafka takes them all together.

    Raises:
        UsageError: One is not NAME=VALUE, must not be set, or librdkafka refuses it.
    """
    overrides: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UsageError(f"{OPTION} {pair!r} is not NAME=VALUE: write for instance {OPTION} acks=1.")
        if name in _ELSEWHERE:
            raise UsageError(f"{OPTION} {name} can't be given: the judge reads the platform's own brokers.")
        if _SECRET.search(name):
            raise UsageError(f"{OPTION} {name} can't be given: it would stand in the run's evidence.")
        overrides[_SAME.get(name, name)] = value
    if overrides:
        _try(overrides)
        _whole(overrides.get("message.timeout.ms", "0"))
    return overrides


def _try(overrides: Mapping[str, str]) -> None:
    """Have librdkafka look at the settings; nobody is connected to."""
    settings = clients.settings("", SETTINGS, overrides)
    del settings["bootstrap.servers"]
    said = ", ".join(f"{name}={value}" for name, value in overrides.items())
    if settings["logger"] is not clients.LOG:
        raise UsageError(f"{OPTION} {said} can't be used: a logger is no text.")
    try:
        Producer(settings)
    except KafkaException as error:
        raise UsageError(f"{OPTION} {said} can't be used: {error.args[0].str().rstrip('.')}.") from None
    except (TypeError, ValueError) as error:  # the binding's own settings, which are functions
        raise UsageError(f"{OPTION} {said} can't be used: {error}.") from None


def _whole(word: str) -> None:
    """The time that a load waits by must be readable here too: librdkafka also takes other bases."""
    if not word.isdecimal():
        raise UsageError(f"{OPTION} message.timeout.ms={word} can't be used: give a whole number of milliseconds.")


def effective(overrides: Mapping[str, str]) -> dict[str, str]:
    """The producer's settings with these over the usual ones, as text; `acks` of all replicas is always `all`."""
    merged = {
        name: str(value)
        for name, value in clients.settings("", SETTINGS, overrides).items()
        # Functions of this process, and files of this machine, say nothing to whoever reads it later
        if not callable(value) and name != "logger" and not _FILE.match(name)
    }
    del merged["bootstrap.servers"]
    for name, value in merged.items():
        if value.lower() in ("true", "false"):
            merged[name] = value.lower()
    if merged["acks"] == "-1":
        merged["acks"] = "all"
    return merged


def patience_seconds(overrides: Mapping[str, str]) -> float:
    """How long librdkafka itself may still try to deliver a message that it has."""
    return (int(effective(overrides)["message.timeout.ms"]) or _ENDLESS_MS) / 1000
