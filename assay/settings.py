"""The settings that a run was made with, read live: brokers, topics, group, the load's own clients, pods and nodes.

All of it goes into one file of evidence, and the dozen that decide loss and recovery into the manifest, under plain
names. What can't be read says why in its place (`{"unknown": ...}`) and has no entry in the manifest: it is never made
up. Values that come from Secrets are named and never read.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from assay import controller_manager, pods
from assay.errors import AssayError
from assay.kafka import clients, overrides, reader
from assay.platform import reason
from assay.recovery.document import agreed, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.kafka.admin import Admin
    from assay.manifest import Plan
    from assay.platform import Platform

#: The file of evidence.
FILE: Final = "settings.json"
#: Whose pods decide what is lost and how fast it comes back.
COMPONENTS: Final = ("kafka", "analytics", "etl")
#: Where images of Apache Kafka have their jars, and the jar that bears the version.
_LIBRARIES: Final = "/opt/kafka/libs"
_JAR: Final = re.compile(r"^kafka-clients-(.+)\.jar$", re.MULTILINE)
#: A value whose name says so is not shown, unless the name is that of a file which holds it.
_SECRET: Final = re.compile(r"(?i)(password|secret|token|credential)(?!.*_file$)")
NOT_SHOWN: Final = "(not shown)"

_BROKER_SETTINGS: Final = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "broker.session.timeout.ms",
    "replica.lag.time.max.ms",
)
_TOPIC_SETTINGS: Final = ("min.insync.replicas", "unclean.leader.election.enable")
_PRODUCER_SETTINGS: Final = ("acks", "enable.idempotence", "message.timeout.ms")
#: By group protocol, where its timeouts are set: in the group's settings, or in the members' own (docs/platform.md).
_GROUP_SETTINGS: Final[Mapping[str, Mapping[str, str]]] = {
    "CONSUMER": {
        "session.timeout": "consumer.session.timeout.ms",
        "heartbeat.interval": "consumer.heartbeat.interval.ms",
    },
    "CLASSIC": {
        "session.timeout": "ANALYTICS_SESSION_TIMEOUT_MS",
        "heartbeat.interval": "ANALYTICS_HEARTBEAT_INTERVAL_MS",
    },
}


def read(platform: Platform, admin: Admin, plan: Plan) -> dict[str, Any]:
    """Everything, as plain data; takes about a second and raises nothing of what is not there."""
    with ThreadPoolExecutor(2) as pool:
        kafka = pool.submit(_kafka, admin, plan)
        kubernetes = pool.submit(_kubernetes, platform)
        return {
            "kafka": {"version": _told(partial(kafka_version, platform)), **kafka.result()},
            "load": _load(plan),
            "kubernetes": kubernetes.result(),
        }


def text(document: Mapping[str, Any]) -> str:
    """The document as it stands in the file."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def versions(document: Mapping[str, Any]) -> dict[str, str]:
    """The versions of Kafka, its client, Kubernetes and its nodes; what is unknown has no entry."""
    nodes = document["kubernetes"]["nodes"]
    found = {"Kafka": document["kafka"]["version"], "Kubernetes": document["kubernetes"]["version"]}
    if "unknown" not in nodes:
        found["Kubernetes nodes"] = agreed({name: node["kubeletVersion"] for name, node in nodes.items()})
    known = {name: version for name, version in found.items() if isinstance(version, str) and version}
    return known | {"librdkafka": clients.library()}


def decisive(document: Mapping[str, Any], plan: Plan) -> dict[str, str]:
    """The settings that decide loss and recovery, by plain names (pure); what is unknown has no entry.

    Where brokers differ in a setting, all values are there with whose they are.
    """
    kafka, load = document["kafka"], document["load"]
    found: dict[str, Any] = {f"producer {name}": load["producer"].get(name) for name in _PRODUCER_SETTINGS}
    topic = kafka["topics"].get(plan.topic, {})
    found |= {f"topic {name}": topic.get("settings", {}).get(name) for name in _TOPIC_SETTINGS}
    copies = [len(one["replicas"]) for one in topic.get("partitions", {}).values()]
    found["topic replication.factor"] = str(min(copies)) if copies else None
    brokers = {name: broker["settings"] for name, broker in kafka["brokers"].items() if name != "unknown"}
    for name in _BROKER_SETTINGS:
        found[f"broker {name}"] = agreed({who: broker[name] for who, broker in brokers.items() if name in broker})
    group = kafka.get("group", {})
    found["group protocol"] = group.get("protocol")
    settings = {**group.get("settings", {}), **environment(document["kubernetes"], "analytics")}
    for name, where in _GROUP_SETTINGS.get(group.get("protocol", ""), {}).items():
        milliseconds = settings.get(where)
        found[f"group {name}"] = f"{milliseconds} ms" if milliseconds else None
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


def kafka_version(platform: Platform) -> str:
    """The version of Apache Kafka that the first broker's pod runs, by the name of its jar: no protocol tells it.

    Raises:
        AssayError: No broker's pod can be looked into, or it keeps its jars elsewhere.
    """
    running = [pod for pod in platform.pods("kafka") if pod.status.phase == "Running"]
    if not running:
        raise AssayError("No broker's pod runs.")
    found = _JAR.search(pods.execute(platform, running[0].metadata.name, ["ls", _LIBRARIES]).stdout)
    if found is None:
        raise AssayError(f"There is no jar of Kafka's clients in {_LIBRARIES} of {running[0].metadata.name}.")
    return found[1]


def pod_facts(pod: Mapping[str, Any]) -> dict[str, Any]:
    """What of a pod (plain data, camel case) decides how it runs and comes back (pure)."""
    spec, statuses = pod["spec"], pod.get("status", {}).get("containerStatuses", [])
    started = {status["name"]: status for status in statuses}
    containers = {}
    for container in spec["containers"]:
        status = started.get(container["name"], {})
        containers[container["name"]] = {
            "image": container.get("image"),
            "imageID": status.get("imageID"),
            "restartCount": status.get("restartCount"),
            "command": container.get("command"),
            "resources": container.get("resources", {}),
            "env": {one["name"]: _value(one) for one in container.get("env", [])},
            "envFrom": [_source(one) for one in container.get("envFrom", [])],
        }
    return {
        "component": pod["metadata"].get("labels", {}).get("app.kubernetes.io/component"),
        "uid": pod["metadata"].get("uid"),
        "node": spec.get("nodeName"),
        "terminationGracePeriodSeconds": spec.get("terminationGracePeriodSeconds"),
        "tolerations": spec.get("tolerations", []),
        "containers": containers,
        "configMaps": sorted(config_maps(spec)),
    }


def config_maps(spec: Mapping[str, Any]) -> set[str]:
    """The names of the ConfigMaps that a pod's specification (plain data) mounts or takes variables from (pure)."""
    volumes = spec.get("volumes", [])
    parts = [part for volume in volumes for part in (volume, *volume.get("projected", {}).get("sources", []))]
    names = {part["configMap"]["name"] for part in parts if "configMap" in part}
    for container in spec["containers"]:
        names |= {one["configMapRef"]["name"] for one in container.get("envFrom", []) if "configMapRef" in one}
        given = [one.get("valueFrom", {}) for one in container.get("env", [])]
        names |= {one["configMapKeyRef"]["name"] for one in given if "configMapKeyRef" in one}
    return names


def _value(variable: Mapping[str, Any]) -> str:
    """An environment variable's value, or where it comes from."""
    given = variable.get("valueFrom")
    if given is None:
        return NOT_SHOWN if _SECRET.search(variable["name"]) else str(variable.get("value", ""))
    kind, where = next(iter(given.items()))
    if kind == "secretKeyRef":
        return f"(the Secret {where['name']}, key {where['key']})"
    if kind == "configMapKeyRef":
        return f"(the ConfigMap {where['name']}, key {where['key']})"
    return f"({kind} {where.get('fieldPath') or where.get('resource')})"


def _source(given: Mapping[str, Any]) -> str:
    kind = "Secret" if "secretRef" in given else "ConfigMap"
    return f"{kind} {(given.get('secretRef') or given.get('configMapRef') or {}).get('name')}"


def _kafka(admin: Admin, plan: Plan) -> dict[str, Any]:
    brokers = _told(admin.brokers)
    found: dict[str, Any] = {
        "brokers": brokers
        if "unknown" in brokers
        else {
            str(number): {"address": address, "settings": _told(partial(admin.broker_settings, number))}
            for number, address in brokers.items()
        },
        "topics": {plan.topic: _told(partial(_topic, admin, plan.topic))},
    }
    if plan.group:
        found["group"] = {"name": plan.group, **_told(partial(_group, admin, plan.group))}
    return found


def _topic(admin: Admin, name: str) -> dict[str, Any]:
    facts = admin.topic(name)
    partitions = {
        str(number): {"leader": one.leader, "replicas": one.replicas, "inSync": one.in_sync}
        for number, one in facts.partitions.items()
    }
    return {"partitions": partitions, "settings": dict(facts.settings)}


def _group(admin: Admin, name: str) -> dict[str, Any]:
    group = admin.group(name)
    members = [
        {"id": one.member_id, "clientId": one.client_id, "host": one.host, "instanceId": one.instance_id}
        | {"partitions": dict(one.partitions)}
        for one in group.members
    ]
    settings = admin.group_settings(name)
    return {"state": group.state, "protocol": group.protocol, "members": members, "settings": settings}


def _load(plan: Plan) -> dict[str, Any]:
    """The settings of the load's own clients, as they are used."""
    connection = {name: str(value) for name, value in clients.CONNECTION.items()}
    return {
        "producer": overrides.effective(plan.producer_settings),
        "reader": connection | {name: str(value) for name, value in reader.SETTINGS.items()},
        "admin": connection,
    }


def _kubernetes(platform: Platform) -> dict[str, Any]:
    plain = platform.core.api_client.sanitize_for_serialization
    found = _told(lambda: {one.metadata.name: one for name in COMPONENTS for one in platform.pods(name)})
    if "unknown" in found:
        facts, names = found, set()
    else:
        facts = {name: pod_facts(plain(pod)) for name, pod in found.items()}
        names = {name for pod in facts.values() for name in pod["configMaps"]}
    nodes = _told(lambda: {one.metadata.name: plain(one.status.node_info) for one in platform.core.list_node().items})
    return {
        "version": _told(platform.check),
        "nodes": nodes,
        "leases": _told(partial(_leases, platform)),
        "controllerManager": _told(partial(controller_manager.flags, platform)),
        "pods": facts,
        "configMaps": {name: _told(partial(_config_map, platform, name)) for name in sorted(names)},
    }


def _leases(platform: Platform) -> dict[str, int]:
    """The length of each node's lease, in seconds."""
    # Any: as of all the client's models, these fields are Optional, which the API server does not leave them.
    found: Any = client.CoordinationV1Api(platform.core.api_client).list_namespaced_lease("kube-node-lease").items
    return {one.metadata.name: one.spec.lease_duration_seconds for one in found}


def _config_map(platform: Platform, name: str) -> dict[str, str]:
    data = platform.core.read_namespaced_config_map(name, platform.namespace).data or {}
    return {key: NOT_SHOWN if _SECRET.search(key) else str(value) for key, value in data.items()}


def _told(ask: Callable[[], Any]) -> Any:
    """An answer, or why there is none: no setting is worth a run that stops halfway."""
    try:
        return ask()
    except (AssayError, client.ApiException, urllib3.exceptions.HTTPError) as error:
        return {"unknown": reason(error)}
    except Exception as error:  # noqa: BLE001  # clusters of others have shapes that nobody thought of
        return {"unknown": f"{type(error).__name__}: {error}"}
