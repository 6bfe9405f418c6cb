"""The network's truth table: every pair of the platform's pods by port, both ways, seen by connecting.

Connections are opened from within each pod, so from its own network namespace, to every port that any pod listens on,
to the API server, and to the address of clouds' metadata; and a name is resolved. What must be open is the intent, and
not what the policies say. A pod always reaches itself, whatever the policies (Kubernetes' documentation of
NetworkPolicy): that it does is the control that somebody listens where others are refused. That a pod reaches something
else is the control that its own network works.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import urllib3
from kubernetes import client

from assay import pods, preflight, sink
from assay.errors import AssayError
from assay.platform import ANALYTICS, ETL, reason
from assay.posture import intent
from assay.posture.authorities import cis, nsa
from assay.posture.probe import Attempt, Finding, Probe, Result, denied_all, held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assay.posture.scene import Scene
    from assay.preflight import Answer

#: Where clouds keep their metadata, and often credentials.
METADATA: Final = "169.254.169.254:80"
_HTTPS: Final = 443
_POLICIES: Final = (
    cis("5.3.1", "Ensure that the CNI in use supports NetworkPolicies"),
    cis("5.3.2", "Ensure that all Namespaces have NetworkPolicies defined"),
    nsa("Network policies"),
)
_NO_ENGINE: Final = (
    "Nothing is refused at all: the cluster enforces no network policies. Install a network plugin that does, such as "
    "Calico or Cilium, or use the embedded cluster (`assay up`)."
)

OPEN: Final = Probe(
    name="network/open",
    tried="connect on every way that is meant to be open, from within the pods",
    authorities=(nsa("Network policies"),),
    remedy="See the family `policies` for the rule that is missing, and `assay preflight` for names and readiness.",
)
SHUT: Final = Probe(
    name="network/shut",
    tried="connect on every other way between the platform's pods, from within the pods",
    authorities=_POLICIES,
    remedy="See the family `policies` for the rule that is too wide; provision again with `assay deploy`.",
)
NAMES: Final = Probe(
    name="network/dns",
    tried="resolve a service's name in every pod",
    authorities=(nsa("Network policies"),),
    remedy="Allow every pod to ask the cluster's DNS on port 53: the policy production-egress-dns does.",
)
API_SERVER: Final = Probe(
    name="network/api-server",
    tried="connect to the API server from within every pod; none of them has business there",
    authorities=(nsa("Network policies"), nsa("Control plane hardening")),
    remedy="Deny egress by default: the policy default-deny does.",
)
CLOUD: Final = Probe(
    name="network/metadata",
    tried=f"connect to the clouds' metadata service at {METADATA} from within every pod",
    authorities=(nsa("Protecting sensitive cloud infrastructure"),),
    remedy="Deny egress by default: the policy default-deny does.",
)
PROBES: Final = (OPEN, SHUT, NAMES, API_SERVER, CLOUD)


@dataclass(frozen=True)
class Endpoint:
    """A pod that runs.

    Attributes:
        name: What it is called here.
        component: What it is.
        address: Its IP address.
        pod: Its name, if it is another one.
    """

    name: str
    component: str
    address: str
    pod: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell of the table: from a pod to a target (`address:port`), which `to` names, and whether it must be open."""

    source: str
    target: str
    to: str
    open: bool

    def __str__(self) -> str:
        """As one says it."""
        return f"{self.source} → {self.to}"


@dataclass(frozen=True)
class Table:
    """What is tried.

    Attributes:
        endpoints: The pods.
        name: A service's `name:port` that every pod must be able to resolve.
        api: Addresses of the API server, `host:port`; none: unknown.
    """

    endpoints: tuple[Endpoint, ...]
    name: str
    api: tuple[str, ...]

    def cells(self) -> tuple[Cell, ...]:
        """Every pair of pods by port; a pod with itself is a control and no cell."""
        return tuple(
            Cell(
                source=source.name,
                target=f"{destination.address}:{port}",
                to=f"{destination.name}:{port}",
                open=intent.is_open(source.component, destination.component, port),
            )
            for source in self.endpoints
            for destination in self.endpoints
            for port in intent.LISTENS.get(destination.component, ())
            if source != destination
        )

    def targets(self) -> tuple[str, ...]:
        """All that each pod tries, itself included."""
        ports = (f"{one.address}:{port}" for one in self.endpoints for port in intent.LISTENS.get(one.component, ()))
        return (*ports, self.name, *self.api, METADATA)


def judge(table: Table, answers: Mapping[str, Mapping[str, Answer] | str]) -> Iterator[Finding]:
    """Hold answers against the table.

    Args:
        table: What was tried.
        answers: By source, what each target answered; or a sentence on why nothing could be tried from there.
    """
    untried = list(dict.fromkeys(given for given in answers.values() if isinstance(given, str)))
    untried += [f"nothing was tried from {one.name}" for one in table.endpoints if one.name not in answers]
    given = {source: found for source, found in answers.items() if not isinstance(found, str)}
    cells = [cell for cell in table.cells() if cell.source in given]
    wanted = [cell for cell in cells if cell.open]
    shut = [f"{cell}: {_said(given, cell)}" for cell in wanted if _answer(given, cell) != "open"]
    yield held(OPEN, len(wanted), "ways are open", shut, untried)
    named = {source: found.get(table.name, "no such name") for source, found in given.items()}
    lost = [
        f"{source} can't resolve {table.name.partition(':')[0]}"
        for source, found in named.items()
        if found == "no such name"
    ]
    yield held(NAMES, len(named), "pods resolve names", lost, untried)
    working = {source: _working(given, cells, source, named[source]) for source in given}
    yield _shut(table, given, untried, working)
    for probe, targets in ((API_SERVER, table.api), (CLOUD, (METADATA,))):
        attempts = {
            f"{source} → {target}": _attempt(found.get(target)) for source, found in given.items() for target in targets
        }
        attempts |= {sentence: Attempt(Result.UNVERIFIABLE) for sentence in untried}
        controls = {f"{source} → {target}": working[source] for source in given for target in targets}
        controls |= {sentence: Attempt(Result.ALLOWED) for sentence in untried}
        yield denied_all(probe, attempts, controls, "the same pod reaches what it may")


def _shut(
    table: Table,
    given: Mapping[str, Mapping[str, Answer]],
    untried: Sequence[str],
    working: Mapping[str, Attempt],
) -> Finding:
    """Every way that is meant to be shut; its target must be seen to listen, and its source to get anywhere at all."""
    cells = [cell for cell in table.cells() if cell.source in given and not cell.open]
    owners = {
        f"{one.address}:{port}": one.name for one in table.endpoints for port in intent.LISTENS.get(one.component, ())
    }
    attempts, controls = {}, {}
    for cell in cells:
        attempts[str(cell)] = _attempt(_answer(given, cell))
        own = given.get(owners[cell.target], {}).get(cell.target)
        listens = own == "open" or any(found.get(cell.target) == "open" for found in given.values())
        said = f"nobody is seen to listen there, not even by {owners[cell.target]} itself"
        controls[str(cell)] = working[cell.source] if listens else Attempt(Result.UNVERIFIABLE, said)
    nothing_refused = bool(cells) and all(attempt.result is Result.ALLOWED for attempt in attempts.values())
    attempts |= {sentence: Attempt(Result.UNVERIFIABLE) for sentence in untried}
    controls |= {sentence: Attempt(Result.ALLOWED) for sentence in untried}
    control = "each target answers its own pod or another one, and each source reaches what it may"
    return denied_all(SHUT, attempts, controls, control, _NO_ENGINE if nothing_refused else "")


def _answer(given: Mapping[str, Mapping[str, Answer]], cell: Cell) -> Answer | None:
    return given[cell.source].get(cell.target)


def _said(given: Mapping[str, Mapping[str, Answer]], cell: Cell) -> str:
    return _answer(given, cell) or "no answer"


def _attempt(answer: Answer | None) -> Attempt:
    """What an answer means where a refusal is wanted: a packet that is dropped, and a connection that is reset."""
    if answer == "open":
        return Attempt(Result.ALLOWED)
    if answer in {"timeout", "refused"}:
        return Attempt(Result.REFUSED)
    return Attempt(Result.UNVERIFIABLE, answer or "no answer")


def _working(given: Mapping[str, Mapping[str, Answer]], cells: Sequence[Cell], source: str, named: Answer) -> Attempt:
    """Whether a pod reaches something that it may: a name server, or another pod."""
    reaches = named != "no such name" or any(_answer(given, cell) == "open" for cell in cells if cell.source == source)
    return Attempt(Result.ALLOWED) if reaches else Attempt(Result.REFUSED, "it reaches nothing at all")


def look(scene: Scene) -> Iterator[Finding]:
    """Try everything from everywhere; what was not as expected is tried once more, lest a slow moment decides."""
    with ExitStack() as stack:
        endpoints = _running(scene)
        untried = {
            component: f"no pod of {component} runs"
            for component in intent.LISTENS
            if all(one.component != component for one in endpoints)
        }
        endpoints += _passing(scene, stack, untried)
        table = Table(tuple(endpoints), f"kafka.{scene.namespace}.svc:9092", _api_servers(scene))
        answers = _answers(scene, endpoints, dict.fromkeys((one.name for one in endpoints), table.targets()))
        again = {one.name: _unexpected(table, answers, one.name) for one in endpoints}
        for source, better in _answers(scene, [one for one in endpoints if again[one.name]], again).items():
            before = answers[source]
            if not isinstance(before, str) and not isinstance(better, str):
                answers[source] = {**before, **better}
    yield from judge(table, {**answers, **untried})


def _answers(
    scene: Scene, sources: Sequence[Endpoint], targets: Mapping[str, Sequence[str]]
) -> dict[str, Mapping[str, Answer] | str]:
    """By source, what each of its targets answers; all sources try at the same time."""
    with ThreadPoolExecutor(len(sources) or 1) as pool:
        found = pool.map(lambda one: _try(scene, one, targets[one.name]), sources)
        return dict(zip((one.name for one in sources), found, strict=True))


def _unexpected(table: Table, answers: Mapping[str, Mapping[str, Answer] | str], source: str) -> list[str]:
    """The targets of a source whose answers were not as expected."""
    given = answers[source]
    if isinstance(given, str):
        return []
    return [
        cell.target
        for cell in table.cells()
        if cell.source == source and (given.get(cell.target) == "open") != cell.open
    ]


def _running(scene: Scene) -> list[Endpoint]:
    """The pods of the components that last."""
    return [
        Endpoint(pod.metadata.name, component, pod.status.pod_ip)
        for component in (intent.KAFKA, intent.TOPICS, intent.CATALOG, intent.FEED, intent.ANALYTICS)
        for pod in scene.platform.pods(component)
        if pod.status.phase == "Running" and pod.status.pod_ip
    ]


def _passing(scene: Scene, stack: ExitStack, untried: dict[str, str]) -> list[Endpoint]:
    """Pods of the components that come and go, made for the occasion; why one could not be made goes into `untried`."""
    made = []
    for component, kind, name, labels in (
        (intent.ETL, "CronJob", ETL, {}),
        (intent.SINK_READER, "Deployment", ANALYTICS, sink.READER_LABELS),
    ):
        try:
            template = scene.platform.template(kind, name)
            pod = stack.enter_context(pods.temporary_pod(scene.platform, template, pods.WAIT, dict(labels)))
        except AssayError as error:
            untried[component] = str(error)
        else:
            address = scene.core.read_namespaced_pod(pod, scene.namespace).status.pod_ip
            made.append(Endpoint(component, component, address, pod))
    return made


def _try(scene: Scene, endpoint: Endpoint, targets: Sequence[str]) -> Mapping[str, Answer] | str:
    try:
        return preflight.ask(
            scene.platform,
            endpoint.pod or endpoint.name,
            targets,
            python=endpoint.component not in preflight.WITHOUT_PYTHON,
        )
    except AssayError as error:
        return str(error)


def _api_servers(scene: Scene) -> tuple[str, ...]:
    """Where the API server is: at the address that we use, and at its Service's."""
    used = urlsplit(scene.core.api_client.configuration.host)
    found = [f"{used.hostname}:{used.port or _HTTPS}"]
    try:
        service = scene.core.read_namespaced_service("kubernetes", "default")
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        raise AssayError(f"The Service of the API server can't be looked up: {reason(error)}.") from None
    return (*found, f"{service.spec.cluster_ip}:{_HTTPS}")
