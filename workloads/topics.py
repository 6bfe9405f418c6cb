"""Keeps Kafka's topics, and rights, as they are declared: makes what is missing and puts right what somebody changed.

The declaration is a JSON file: `{"topics": [{"name", "partitions", "replication_factor", "settings": {...}}]}`, where
brokers grant rights also `"access": [{"principal", "topic" or "group", "operations": [...]}]` (`access.py`), and
`"brokers"`: a topic is not made before so many are there, since whoever comes later would never lead a partition of it.
Settings that a topic's declaration does not name are left alone. What can't be changed in place (fewer partitions,
another number of replicas) is reported and left as it is. `GET /ready` on the port answers 200 while the topics were
last seen as declared, else 503 with the reason.

Run: `python3 -m workloads.topics`, with `TOPICS_BOOTSTRAP_SERVERS` and `TOPICS_DECLARED` (the file) set.
"""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path  # noqa: TC003  # pydantic reads the annotation at run time
from typing import TYPE_CHECKING, Final

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewPartitions, NewTopic
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from workloads import access
from workloads.access import Granted  # noqa: TC001  # pydantic reads the annotation at run time
from workloads.identity import KafkaIdentity
from workloads.log import configure
from workloads.settings import USAGE, SettingsError, load, refuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds one request to the brokers may take.
REQUEST_SECONDS: Final = 5.0
#: Seconds between tries while the topics are not yet as declared.
RETRY_SECONDS: Final = 0.5

_log = structlog.get_logger()


class TopicsSettings(BaseSettings):
    """Everything that can be set; variables start with `TOPICS_`."""

    model_config = SettingsConfigDict(env_prefix="TOPICS_", frozen=True)

    bootstrap_servers: str
    declared: Path
    interval_seconds: float = Field(default=30.0, gt=0.0)
    port: int = Field(default=8080, ge=0, le=65535)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    identity: KafkaIdentity = Field(default_factory=KafkaIdentity)


class Declared(BaseModel):
    """A topic as it should be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    partitions: int = Field(ge=1)
    replication_factor: int = Field(ge=1)
    settings: dict[str, str] = {}


class Declaration(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    topics: tuple[Declared, ...]
    brokers: int = Field(default=1, ge=1)
    access: tuple[Granted, ...] | None = None


@dataclass(frozen=True)
class Seen:
    """A topic as the brokers have it; `settings` are all of its settings, defaults included."""

    partitions: int
    replication_factor: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """What has to be done, and what can't be, as sentences."""

    create: tuple[Declared, ...] = ()
    grow: tuple[tuple[str, int], ...] = ()
    alter: tuple[tuple[str, str, str], ...] = ()
    impossible: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the topics are as declared."""
        return not (self.create or self.grow or self.alter or self.impossible)


def plan(declared: Sequence[Declared], seen: Mapping[str, Seen]) -> Plan:
    """What leads from what is seen (by topic name) to what is declared."""
    create, grow, alter, impossible = [], [], [], []
    for topic in declared:
        now = seen.get(topic.name)
        if now is None:
            create.append(topic)
            continue
        if now.partitions < topic.partitions:
            grow.append((topic.name, topic.partitions))
        elif now.partitions > topic.partitions:
            impossible.append(
                f"{topic.name} has {now.partitions} partitions and Kafka can't reduce them to {topic.partitions}"
            )
        if now.replication_factor != topic.replication_factor:
            impossible.append(
                f"{topic.name} has {now.replication_factor} replicas, not {topic.replication_factor}: "
                "reassign its partitions"
            )
        alter += [
            (topic.name, name, value)
            for name, value in sorted(topic.settings.items())
            if now.settings.get(name) != value
        ]
    return Plan(tuple(create), tuple(grow), tuple(alter), tuple(impossible))


def look(admin: AdminClient, names: Sequence[str]) -> dict[str, Seen]:
    """The named topics that exist.

    Raises:
        KafkaException: The brokers don't answer.
    """
    known = admin.list_topics(timeout=REQUEST_SECONDS).topics
    there = [name for name in names if name in known and known[name].error is None and known[name].partitions]
    if not there:
        return {}
    answers = admin.describe_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, name) for name in there], request_timeout=REQUEST_SECONDS
    )
    settings = {
        resource.name: {name: str(entry.value) for name, entry in answer.result().items()}
        for resource, answer in answers.items()
    }
    return {
        name: Seen(
            partitions=len(known[name].partitions),
            # A broker that is away stays in the list of replicas
            replication_factor=min(len(partition.replicas) for partition in known[name].partitions.values()),
            settings=settings[name],
        )
        for name in there
    }


def carry_out(admin: AdminClient, todo: Plan) -> None:
    """Make the topics, the partitions and the settings of a plan.

    Raises:
        KafkaException: A broker refused one of them, or none answered.
    """
    answers = []
    if todo.create:
        topics = [
            NewTopic(topic.name, topic.partitions, topic.replication_factor, config=topic.settings)
            for topic in todo.create
        ]
        answers += list(admin.create_topics(topics, request_timeout=REQUEST_SECONDS).values())
    if todo.grow:
        partitions = [NewPartitions(name, count) for name, count in todo.grow]
        answers += list(admin.create_partitions(partitions, request_timeout=REQUEST_SECONDS).values())
    if todo.alter:
        resources = {name: ConfigResource(ConfigResource.Type.TOPIC, name) for name, _, _ in todo.alter}
        for name, setting, value in todo.alter:
            resources[name].add_incremental_config(
                ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
            )
        answers += list(
            admin.incremental_alter_configs(list(resources.values()), request_timeout=REQUEST_SECONDS).values()
        )
    for answer in answers:
        answer.result()


class Status:
    """Why the topics are not as declared; an empty reason: they are. One writer, many readers."""

    def __init__(self) -> None:
        """Start out not knowing."""
        self.reason = "the topics were not looked at yet"


def serve(status: Status, port: int) -> ThreadingHTTPServer:
    """Answer `GET /ready` from a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        """Knows one path."""

        def do_GET(self) -> None:
            """Answer with the reason as it is now."""
            reason = status.reason
            if self.path != "/ready":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body = f"{reason or 'the topics are as declared'}\n".encode()
            self.send_response(HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's own name
            """Say nothing about probes."""

    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104  # a pod's only interface to its cluster
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def reconcile(admin: AdminClient, declaration: Declaration) -> str:
    """One round; returns why topics or rights are not as declared, or nothing."""
    reason = _reconcile_topics(admin, declaration.topics, declaration.brokers)
    if reason or declaration.access is None:
        return reason
    return _reconcile_access(admin, access.rights(declaration.access))


def _reconcile_access(admin: AdminClient, wanted: set[access.Right]) -> str:
    try:
        there = access.look(admin, REQUEST_SECONDS)
        grant, take = sorted(wanted - there), sorted(there - wanted)
        if not grant and not take:
            return ""
        access.carry_out(admin, grant, take, REQUEST_SECONDS)
        left = access.look(admin, REQUEST_SECONDS)
    except KafkaException as error:
        return f"the brokers refuse or don't answer: {error.args[0].str()}"
    _log.info("access.changed", granted=[str(one) for one in grant], taken=[str(one) for one in take])
    return "" if left == wanted else "the brokers don't show the rights yet"


def _reconcile_topics(admin: AdminClient, declared: Sequence[Declared], brokers: int) -> str:
    names = [topic.name for topic in declared]
    try:
        todo = plan(declared, look(admin, names))
        if todo.empty:
            return ""
        if todo.create and (there := len(admin.list_topics(timeout=REQUEST_SECONDS).brokers)) < brokers:
            # Fenced brokers get replicas too, but last: they would lead nothing by preference (StripedReplicaPlacer)
            return f"{there} of {brokers} brokers are there: topics are made when all are"
        carry_out(admin, todo)
        left = plan(declared, look(admin, names))
    except KafkaException as error:
        return f"the brokers refuse or don't answer: {error.args[0].str()}"
    _log.info(
        "topics.changed",
        created=[topic.name for topic in todo.create],
        grown=dict(todo.grow),
        altered=[f"{name} {setting}={value}" for name, setting, value in todo.alter],
    )
    if left.impossible:
        return "; ".join(left.impossible)
    return "" if left.empty else "the brokers don't show the change yet"


def main() -> None:
    """Run until SIGTERM."""
    try:
        settings = load(TopicsSettings)
        declaration = Declaration.model_validate_json(settings.declared.read_bytes())
    except SettingsError as error:
        refuse(str(error), USAGE)
    except OSError as error:
        refuse(f"TOPICS_DECLARED can't be read ({error.strerror}): mount the declared topics there.", USAGE)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        refuse(f"TOPICS_DECLARED is no declaration of topics, at {where or 'its start'}: {problem['msg']}.", USAGE)
    configure(settings.log_level)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    status = Status()
    server = serve(status, settings.port)
    admin = AdminClient(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
            **settings.identity.client(),
        }
    )
    while not stop.is_set():
        before, status.reason = status.reason, reconcile(admin, declaration)
        if status.reason != before:
            _log.info("topics.status", reason=status.reason or "the topics are as declared")
        stop.wait(RETRY_SECONDS if status.reason else settings.interval_seconds)
    server.shutdown()


if __name__ == "__main__":
    main()
