"""From the document of live settings, which is evidence of each run, to the settings that decide recovery.

What the document does not have is unknown with its reason; a default is taken only where whoever owns the setting says
which one is in force.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from assay.recovery.document import agreed, environment, pods_of
from assay.recovery.setting import UNITS, Setting, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_UNREACHABLE: Final = "node.kubernetes.io/unreachable"
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)")
#: Kubernetes' default grace, in seconds, and the version since which it is the greater one (its change log).
_GRACE: Final = ((1, 32), 40.0, 50.0)
#: Kubernetes' default of `--node-monitor-period`, in seconds.
_MONITOR: Final = 5.0
#: Kubernetes' way to write a time, `1m30s`, and what each letter is worth, in seconds.
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_DURATIONS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def settings_of(document: Mapping[str, Any]) -> Settings:
    """The settings that decide recovery, from the document that `assay.settings.read` makes."""
    kafka, kubernetes = document["kafka"], document["kubernetes"]
    group, producer = kafka.get("group", {"unknown": "nobody consumes the topic"}), document["load"]["producer"]
    variables = _said(kubernetes.get("pods", {})) or environment(kubernetes, "analytics")

    def broker(name: str) -> Setting:
        return _of_brokers(name, kafka["brokers"])

    def of_group(name: str, default: float | None = None) -> Setting:
        return _plain(
            name, "group", _said(group) or group.get("settings", {}), "the brokers know no such", default=default
        )

    def consumers(name: str, unit: str = "ms") -> Setting:
        return _plain(name, "consumers", variables, "no pod of the consumers is told", unit=unit)

    def load(name: str) -> Setting:
        return _plain(name, "load", producer, "the load's producer does not set")

    members = group.get("members")
    first, last = _by_broker("controller.quorum.fetch.timeout.ms", kafka["brokers"])
    return Settings(
        broker_session=broker("broker.session.timeout.ms"),
        broker_heartbeat=broker("broker.heartbeat.interval.ms"),
        quorum_fetch=first,
        quorum_fetch_longest=last,
        quorum_election=broker("controller.quorum.election.timeout.ms"),
        classic_session=consumers("ANALYTICS_SESSION_TIMEOUT_MS"),
        classic_heartbeat=consumers("ANALYTICS_HEARTBEAT_INTERVAL_MS"),
        classic_session_least=of_group("group.min.session.timeout.ms"),
        consumer_session=of_group("consumer.session.timeout.ms"),
        consumer_heartbeat=of_group("consumer.heartbeat.interval.ms"),
        # Brokers before 4.3 assign at once, and know no such setting (KIP-1263).
        consumer_assignment=of_group("consumer.assignment.interval.ms", default=0.0),
        consumer_session_least=of_group("group.consumer.min.session.timeout.ms"),
        consumers_socket=consumers("KAFKA_CLIENT_SOCKET_TIMEOUT_MS"),
        load_socket=load("socket.timeout.ms"),
        consumers_retry=consumers("KAFKA_CLIENT_RETRY_BACKOFF_MAX_MS"),
        load_retry=load("retry.backoff.max.ms"),
        flush=consumers("ANALYTICS_FLUSH_SECONDS", "s"),
        node_lease=_lease(kubernetes.get("leases", {"unknown": "nobody asked for the nodes' leases"})),
        node_grace=_flag(kubernetes, "node-monitor-grace-period", _default_grace),
        node_monitor=_flag(kubernetes, "node-monitor-period", lambda _version: _MONITOR),
        toleration=_toleration(kubernetes),
        protocol=str(group.get("protocol", "")),
        static=None if members is None else any(one.get("instanceId") for one in members),
    )


def _said(part: Any) -> str:
    """Why a part of the document could not be read; empty if it could."""
    return str(part["unknown"]).rstrip(".") if isinstance(part, dict) and "unknown" in part else ""


def _plain(
    name: str,
    owner: str,
    values: Mapping[str, str] | str,
    absent: str,
    *,
    unit: str = "ms",
    default: float | None = None,
) -> Setting:
    """A setting out of a table of texts, or, instead of the table, why it could not be read."""
    if isinstance(values, str):
        return Setting(name, owner, None, unit, values)
    text = values.get(name)
    if text is None:
        return Setting(name, owner, default, unit, "" if default is not None else f"{absent} {name}")
    try:
        return Setting(name, owner, float(text) / UNITS[unit], unit)
    except ValueError:
        return Setting(name, owner, None, unit, f"{text!r} is no number")


def _of_brokers(name: str, brokers: Mapping[str, Any]) -> Setting:
    """A setting that all brokers must agree in: which of them is hit is not known before."""
    said, values = _asked(name, brokers)
    if not said and len(set(values.values())) > 1:
        said = f"the brokers differ: {agreed(values)}"
    return _plain(name, "brokers", said or dict.fromkeys([name] if values else [], agreed(values)), "no broker has")


def _by_broker(name: str, brokers: Mapping[str, Any]) -> tuple[Setting, Setting]:
    """A setting in which brokers may differ: the shortest and the longest, each with whose it is."""
    said, values = _asked(name, brokers)
    if said or len(set(values.values())) <= 1:
        same = _of_brokers(name, brokers)
        return same, same
    each = {who: _plain(name, "brokers", {name: value}, "") for who, value in values.items()}
    unknown = next((one for one in each.values() if one.seconds is None), None)
    if unknown is not None:
        return unknown, unknown
    ordered = sorted(
        (replace(one, why=f"broker {who}") for who, one in each.items()), key=lambda one: one.seconds or 0.0
    )
    return ordered[0], ordered[-1]


def _asked(name: str, brokers: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Why not all brokers could be asked for a setting, empty if they could, and what each one has."""
    tables = {who: one["settings"] for who, one in brokers.items() if isinstance(one, dict)}
    said = _said(brokers) or next((f"broker {who}: {_said(one)}" for who, one in tables.items() if _said(one)), "")
    return said, {who: one[name] for who, one in tables.items() if name in one}


def _lease(leases: Mapping[str, Any]) -> Setting:
    """The longest lease: its node is noticed soonest, after its last renewal."""
    name = "nodeLeaseDurationSeconds"
    seconds = [one for one in leases.values() if isinstance(one, int | float)]
    if _said(leases) or not seconds:
        return Setting(name, "nodes", None, "s", _said(leases) or "no node has a lease")
    return Setting(name, "nodes", float(max(seconds)), "s")


def _default_grace(version: tuple[int, int]) -> float:
    since, before, after = _GRACE
    return after if version >= since else before


def _flag(kubernetes: Mapping[str, Any], name: str, default: Callable[[tuple[int, int]], float]) -> Setting:
    """A flag of the controller manager; where it is not given, the default of this version of Kubernetes."""
    owner = "controller manager"
    flags = kubernetes.get("controllerManager", {"unknown": "nobody asked for the controller manager's flags"})
    if _said(flags):
        return Setting(name, owner, None, "s", _said(flags))
    if name in flags:
        seconds = duration(flags[name])
        return Setting(name, owner, seconds, "s", "" if seconds is not None else f"{flags[name]!r} is no time")
    version = _VERSION.match(str(kubernetes.get("version")))
    if version is None:
        return Setting(name, owner, None, "s", "it is not given, and the version of Kubernetes is not known")
    found = (int(version[1]), int(version[2]))
    return Setting(name, owner, default(found), "s", f"default of Kubernetes {found[0]}.{found[1]}")


def duration(text: str) -> float | None:
    """Kubernetes' way to write a time (`1m30s`), in seconds; None if it is not one."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + letter for number, letter in parts) != text:
        return None
    return sum(float(number) * _DURATIONS[letter] for number, letter in parts)


def _toleration(kubernetes: Mapping[str, Any]) -> Setting:
    """How long the consumers' pods tolerate a lost node: as the pods have it, with what the API server added."""
    name, owner = "tolerationSeconds", "consumer pods"
    if _said(kubernetes.get("pods", {})):
        return Setting(name, owner, None, "s", _said(kubernetes["pods"]))
    pods = list(pods_of(kubernetes, "analytics"))
    if not pods:
        return Setting(name, owner, None, "s", "no pod of the consumers was found")
    return Setting(name, owner, max(_tolerated(pod.get("tolerations", [])) for pod in pods), "s")


def _tolerated(tolerations: Iterable[Mapping[str, Any]]) -> float:
    """How long a pod tolerates an unreachable node, in seconds: the least that is said; without a time for ever."""
    return min(
        (
            float(one.get("tolerationSeconds", math.inf))
            for one in tolerations
            if one.get("key", "") in ("", _UNREACHABLE) and one.get("effect", "NoExecute") == "NoExecute"
        ),
        default=0.0,
    )
