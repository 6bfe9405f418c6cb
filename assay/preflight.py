"""Pre-flight: what must be true of a platform before it is worth loading, tried from where it matters.

Names are resolved and connections opened from each workload's own pod, so that its DNS, its network policies and its
account are the ones tested. Every path that must be refused stands beside one to the same address that must be open: a
refusal without such a control may just be an address where nobody listens.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from assay import pods
from assay.errors import AssayError
from assay.manifest import Check
from assay.platform import ANALYTICS, ETL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from assay.kafka.admin import Admin
    from assay.platform import Platform

Answer = Literal["open", "refused", "timeout", "no such name"]
Result = Literal["pass", "fail", "unknown"]

#: Seconds one connection attempt may take; a dropped packet looks like this much silence.
CONNECT_SECONDS: Final = 3
#: Seconds all attempts from one pod may take together: they run at the same time, but a resolver that is cut off gives
#: up late.
_PROBE_SECONDS: Final = 60.0
#: Components whose image has a shell, and no Python.
WITHOUT_PYTHON: Final = frozenset({"kafka", "catalog"})


@dataclass(frozen=True)
class Path:
    """A way through the network, from a workload's pod to an address, and whether it must be open."""

    source: str
    host: str
    port: int
    open: bool

    @property
    def target(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"


def paths(namespace: str, brokers: int) -> tuple[Path, ...]:
    """The paths of the platform under test: from each workload to what it uses, and to what it must not reach."""
    kafka = [f"kafka-{number}.kafka.{namespace}.svc" for number in range(brokers)]
    feed, catalog = f"commodity-feed.{namespace}.svc", f"iceberg-catalog.{namespace}.svc"
    return (
        Path("etl", feed, 8080, open=True),
        *(Path("etl", host, 9092, open=True) for host in kafka),
        Path("etl", catalog, 5432, open=False),
        *(Path("analytics", host, 9092, open=True) for host in kafka),
        Path("analytics", catalog, 5432, open=True),
        Path("analytics", feed, 8080, open=False),
        Path("analytics", kafka[0], 9091, open=False),
        Path("feed", kafka[0], 9092, open=False),
        *(Path("kafka", host, 9091, open=True) for host in kafka),
        *(Path("kafka", host, 9093, open=True) for host in kafka),
        Path("kafka", feed, 8080, open=False),
    )


# Both programs take `host:port` arguments and print one JSON object {"host:port": answer}.
_PYTHON_PROBE: Final = f"""
import concurrent.futures, json, socket, sys
def probe(target):
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), {CONNECT_SECONDS}).close()
        return "open"
    except socket.gaierror:
        return "no such name"
    except TimeoutError:
        return "timeout"
    except OSError:
        return "refused"
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(dict(zip(sys.argv[1:], pool.map(probe, sys.argv[1:])))))
"""
_BASH_PROBE: Final = f"""
probe() {{
  host=${{1%:*}} port=${{1##*:}}
  getent ahosts "$host" >/dev/null || {{ echo "\\"$1\\": \\"no such name\\""; return; }}
  timeout {CONNECT_SECONDS} bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null
  case $? in 0) answer=open;; 124) answer=timeout;; *) answer=refused;; esac
  echo "\\"$1\\": \\"$answer\\""
}}
for target; do probe "$target" & done | paste -sd, | sed 's/^/{{/;s/$/}}/'
"""


def judge_paths(expected: Iterable[Path], answers: Mapping[str, Mapping[str, Answer] | str]) -> tuple[Check, ...]:
    """Hold answers against expectations: checks `dns`, `connectivity` and `policy`.

    Args:
        expected: The paths that were tried.
        answers: By source, the answer a target gave; or a sentence on why nothing could be tried from there.
    """
    wrong: dict[str, list[str]] = {"dns": [], "connectivity": [], "policy": []}
    tried = {"dns": 0, "connectivity": 0, "policy": 0}
    untried: list[str] = []
    for path in expected:
        given = answers.get(path.source, f"nothing was tried from {path.source}")
        if isinstance(given, str):
            if given not in untried:
                untried.append(given)
            continue
        answer = given.get(path.target)
        name = f"{path.source} → {path.target}"
        if answer is None:
            untried.append(f"{name} gave no answer")
            continue
        tried["dns"] += 1
        if answer == "no such name":
            wrong["dns"].append(name)
            continue
        kind = "connectivity" if path.open else "policy"
        tried[kind] += 1
        if path.open and answer != "open":
            wrong[kind].append(f"{name}: {answer}")
        if not path.open and answer == "open":
            wrong[kind].append(f"{name}: open, though no policy allows it")
    said = {"dns": "names resolved", "connectivity": "paths open", "policy": "forbidden paths refused"}
    return tuple(_tally(kind, said[kind], tried[kind], wrong[kind], untried) for kind in wrong)


def _tally(name: str, said: str, tried: int, wrong: Sequence[str], untried: Sequence[str]) -> Check:
    if wrong:
        return Check(
            name=name, verdict="fail", detail=f"{tried - len(wrong)} of {tried} {said}; not: {'; '.join(wrong)}"
        )
    if untried or not tried:
        return Check(name=name, verdict="unknown", detail="; ".join(untried) or "nothing was tried")
    return Check(name=name, verdict="pass", detail=f"{tried} of {tried} {said}, each from its workload's own pod")


def try_paths(platform: Platform, expected: Sequence[Path]) -> dict[str, Mapping[str, Answer] | str]:
    """Try every path from a pod of its source; one thread a source. See `judge_paths` for the shape of the answer."""
    sources = list(dict.fromkeys(path.source for path in expected))

    def one(source: str) -> Mapping[str, Answer] | str:
        targets = [path.target for path in expected if path.source == source]
        try:
            return _probe(platform, source, targets)
        except AssayError as error:
            return str(error)

    with ThreadPoolExecutor(len(sources)) as pool:
        return dict(zip(sources, pool.map(one, sources), strict=True))


def _probe(platform: Platform, source: str, targets: Sequence[str]) -> Mapping[str, Answer]:
    if source == "etl":  # no pod of it runs between its runs: make one exactly like it
        command = ["python3", "-c", _PYTHON_PROBE, *targets]
        with pods.temporary_pod(platform, platform.template("CronJob", ETL), command) as pod:
            text = pods.output(platform, pod)
    else:
        running = [pod for pod in platform.pods(source) if pod.status.phase == "Running"]
        if not running:
            raise AssayError(f"no pod of {source} runs")
        return ask(platform, running[0].metadata.name, targets, python=source not in WITHOUT_PYTHON)
    return _parse(text, f"a pod of {source}")


def ask(platform: Platform, pod: str, targets: Sequence[str], *, python: bool) -> Mapping[str, Answer]:
    """Try to connect to each target (`host:port`, TCP) from within a running pod.

    Args:
        platform: Where.
        pod: The pod's name.
        targets: What to connect to; a host may be a name or an address.
        python: Whether its image has `python3`; else it must have `bash`, `getent` and `timeout`.

    Raises:
        AssayError: The probe can't be run, or failed.
    """
    program = ["python3", "-c", _PYTHON_PROBE] if python else ["bash", "-c", _BASH_PROBE, "probe"]
    result = pods.execute(platform, pod, [*program, *targets], _PROBE_SECONDS)
    if result.exit_code:
        raise AssayError(f"the probe in {pod} ended with {result.exit_code}: {result.stderr.strip()}")
    return _parse(result.stdout, pod)


def _parse(text: str, where: str) -> Mapping[str, Answer]:
    try:
        answers: dict[str, Answer] = json.loads(text)
    except ValueError:
        raise AssayError(f"the probe in {where} printed no answer: {text[:200]!r}") from None
    return answers


def check_resources(workload_pods: Sequence[Any]) -> Check:
    """Every container of the platform states requests and limits for CPU and memory (design of the quota)."""
    lacking = [
        f"{pod.metadata.name}/{container.name} has no {group}.{resource}"
        for pod in workload_pods
        for container in pod.spec.containers
        for group in ("requests", "limits")
        for resource in ("cpu", "memory")
        if resource not in (getattr(container.resources, group) or {})
    ]
    if lacking:
        return Check(name="resources", verdict="fail", detail="; ".join(lacking))
    if not workload_pods:
        return Check(name="resources", verdict="unknown", detail="no pod of the platform was found")
    return Check(name="resources", verdict="pass", detail=f"{len(workload_pods)} pods state requests and limits")


def check_readiness(platform: Platform, replicas: int) -> Check:
    """The consumers are Ready, on as many nodes as there are replicas."""
    consumers = platform.pods("analytics")
    ready = [pod for pod in consumers if is_ready(pod)]
    nodes = {pod.spec.node_name for pod in ready}
    detail = f"{len(ready)} of {replicas} replicas of {ANALYTICS} Ready on {len(nodes)} nodes"
    good = len(ready) >= replicas and len(nodes) >= replicas
    return Check(name="replicas", verdict="pass" if good else "fail", detail=detail)


def is_ready(pod: Any) -> bool:
    """Whether a pod's Ready condition is true."""
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or ())


#: What the topic must be set to (docs/platform.md); fewer in-sync copies or an unclean election can lose acknowledged
#: messages (Kafka's documentation of `acks`, `min.insync.replicas` and `unclean.leader.election.enable`).
_TOPIC_SETTINGS: Final = {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}
_REPLICATION: Final = 3


def check_topic(admin: Admin, topic: str) -> Check:
    """The topic keeps acknowledged messages: three copies, all in sync, two needed for an acknowledgement."""
    try:
        facts = admin.topic(topic)
    except AssayError as error:
        return Check(name="topic", verdict="unknown", detail=str(error))
    wrong = [
        f"{name} is {facts.settings.get(name)}, not {wanted}"
        for name, wanted in _TOPIC_SETTINGS.items()
        if facts.settings.get(name) != wanted
    ]
    for number, partition in sorted(facts.partitions.items()):
        if len(partition.replicas) != _REPLICATION:
            wrong.append(f"partition {number} has {len(partition.replicas)} replicas, not {_REPLICATION}")
        elif len(partition.in_sync) != _REPLICATION:
            wrong.append(f"partition {number} has only {len(partition.in_sync)} replicas in sync")
    if wrong:
        return Check(name="topic", verdict="fail", detail="; ".join(wrong))
    return Check(
        name="topic",
        verdict="pass",
        detail=f"{len(facts.partitions)} partitions, {_REPLICATION} replicas each, all in sync; two acknowledge",
    )
