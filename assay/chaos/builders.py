"""How each fault of the catalogue comes about: from plain arguments and what runs now, to a `Fault`.

Everything here looks; nothing is changed before `inject`. Errors of the API server go through: `catalogue.build` says
them in a sentence.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from assay.chaos import isolation, roles, target
from assay.chaos.composite import AtOnce
from assay.chaos.crash import Crashed
from assay.chaos.deletion import Deleted
from assay.chaos.disk import Filled
from assay.chaos.drain import Drained
from assay.chaos.faults import Killed, Paused, Probe, Unserved
from assay.chaos.names import Names
from assay.chaos.rolling import Restarted
from assay.chaos.witness import Witnessed
from assay.errors import AssayError, UsageError
from assay.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Literal

    from assay.chaos.faults import Fault
    from assay.chaos.machines import Machines
    from assay.chaos.node import Nodes
    from assay.chaos.target import Target
    from assay.kafka.admin import Admin

T = TypeVar("T")
WHO: Final = ("broker", "consumer")
HOW: Final = ("sigkill", "sigterm", "pause", "isolated")
GRACE: Final = ("normal", "none")
DNS_AT: Final = ("clients", "servers")
SPARE: Final = (roles.NOBODY, "catalog", "feed", "topics")
_NAMES_ARE_ASKED_BY: Final = ("analytics", "etl", "kafka")
_SYSTEM: Final = "kube-system"
_DNS_SERVICE: Final = "kube-dns"
_DNS_LABEL: Final = "k8s-app=kube-dns"


@dataclass(frozen=True)
class Site:
    """What faults are built from.

    Attributes:
        platform: The platform.
        nodes: Its cluster's nodes.
        admin: Asks its brokers.
        machines: The machines below its nodes; None: they are out of reach.
        topic: The topic that roles are about.
        group: The consumer group that roles are about.
    """

    platform: Platform
    nodes: Nodes
    admin: Admin
    machines: Machines | None
    topic: str
    group: str

    @cached_property
    def facts(self) -> roles.LiveFacts:
        """What roles are chosen by, as of when it is first needed."""
        return roles.LiveFacts(self.platform, self.admin, self.topic, self.group)

    def one(self, who: str, role: str, seed: int, spare: str = roles.NOBODY) -> Target:
        """The broker or consumer of a role, not on the node of a part of the platform that is to be spared.

        Raises:
            UsageError: Nobody has it, or nobody whose node is not to be spared.
            AssayError: Kafka or Kubernetes do not answer, or it does not run.
        """
        if who == "broker":
            return self.facts.broker(roles.choose_broker(role, self.facts, seed, spare))
        return target.find(self.platform, roles.choose_consumer(role, self.facts, seed, spare))

    def two_brokers(self, seed: int) -> list[Target]:
        """Two brokers without which a partition takes no write.

        Raises:
            UsageError: There are no such two.
            AssayError: Kafka or Kubernetes do not answer, or one does not run.
        """
        return [self.facts.broker(number) for number in roles.choose_two(self.facts, seed)]

    def brokers(self, but: Sequence[Target] = ()) -> list[Target]:
        """The brokers that run, but for some."""
        apart = {one.uid for one in but}
        found = _running(self.facts.broker, self.facts.brokers)
        return [one for one in found if one.uid not in apart]

    def client(self) -> Target | None:
        """Any consumer that runs."""
        return next(_running(lambda name: target.find(self.platform, name), self.facts.consumers), None)

    def chosen(self, role: str, seed: int, *pods: str) -> str:
        """How pods came to be chosen, and every role of those that are brokers, as far as Kafka says it."""
        said = f"{role}, seed {seed}"
        numbers = [number for number in map(self.facts.number, pods) if number is not None]
        try:
            all_of = ", ".join(f"broker {one}: {' '.join(roles.held(one, self.facts)) or 'none'}" for one in numbers)
        except AssayError:
            all_of = "not known"
        return f"{said}; roles of {all_of}" if numbers else said

    def brokers_on(self, node: str) -> list[str]:
        """The brokers' pods that run on a node."""
        return [one.pod for one in self.brokers() if one.node == node]

    def catalog(self) -> str | None:
        """The address of the consumers' catalog."""
        running = [one for one in self.platform.pods("catalog") if one.status.phase == "Running"]
        return str(running[0].status.pod_ip) if running else None


def killed(site: Site, *, who: str, signal: Literal["KILL", "TERM"], role: str, seed: int) -> Fault:
    """A broker or consumer whose processes get a signal."""
    found = site.one(who, role, seed)
    return Killed(site.platform, site.nodes, found, signal, site.chosen(role, seed, found.pod))


def paused(site: Site, *, who: str, role: str, seed: int) -> Fault:
    """A broker or consumer whose processes are stopped."""
    found = site.one(who, role, seed)
    return Paused(site.nodes, found, site.chosen(role, seed, found.pod))


def deleted(site: Site, *, who: str, role: str, seed: int, grace: str) -> Fault:
    """A broker's or consumer's pod that is deleted."""
    seconds = None if grace == "normal" else 0
    found = site.one(who, role, seed)
    return Deleted(site.platform, site.nodes, found, seconds, site.chosen(role, seed, found.pod))


def broker_dropped(
    site: Site, *, role: str, seed: int, peers: str, direction: str = "both", share: float = 1.0
) -> Fault:
    """A broker whose packets are dropped, all or a share."""
    found = site.one("broker", role, seed)
    chosen = site.chosen(role, seed, found.pod)
    return _cut_off(site, found, chosen, [found], peers=peers, direction=direction, share=share)


def consumer_isolated(site: Site, *, role: str, seed: int, direction: str) -> Fault:
    """A consumer that is cut off from Kafka."""
    found = site.one("consumer", role, seed)
    broker = site.one("broker", "random", seed)
    return isolation.consumer(
        site.nodes, found, broker=broker, catalog=site.catalog(), direction=direction, chosen=site.chosen(role, seed)
    )


def two_brokers(site: Site, *, how: str, seed: int) -> Fault:
    """The same to two brokers at once."""
    both = site.two_brokers(seed)
    chosen = site.chosen("two that a write needs", seed, *(one.pod for one in both))
    return AtOnce([_harmed(site, one, how, chosen, both) for one in both])


def node_crashed(site: Site, *, who: str, role: str, seed: int, spare: str) -> Fault:
    """The node of a broker or consumer that crashes.

    `spare` names a part of the platform that runs once: with its node it would be away until Kubernetes replaces it, so
    that no survivor could serve.
    """
    if site.machines is None:
        raise UsageError(
            "The machines of this cluster's nodes are out of reach, so that none can be crashed: "
            "use an embedded cluster, or node-drain."
        )
    node = site.one(who, role, seed, spare).node
    apart = "" if spare == roles.NOBODY else f", not that of the {spare}"
    chosen = site.chosen(f"of {who} {role}{apart}", seed, *site.brokers_on(node))
    return Crashed(site.platform, site.machines, node, chosen)


def node_drained(site: Site, *, who: str, role: str, seed: int) -> Fault:
    """The node of a broker or consumer that is drained."""
    node = site.one(who, role, seed).node
    return Drained(site.platform, site.nodes, node, site.chosen(f"of {who} {role}", seed, *site.brokers_on(node)))


def dns_down(site: Site, *, at: str) -> Fault:
    """No names, for the platform's pods or for everybody."""
    seen_in = site.client()
    if seen_in is None:
        raise UsageError("No consumer runs, in which it could be seen whether names are resolved.")
    cuts = _deaf_clients(site) if at == "clients" else _deaf_servers(site, seen_in)
    return Witnessed(cuts[0] if len(cuts) == 1 else AtOnce(cuts), [Names(site.platform, seen_in.pod)])


def _deaf_clients(site: Site) -> list[Fault]:
    """Those pods of the platform that look names up all the time, each without answers."""
    server = _dns_service(site)
    brokers = site.brokers()
    if len(brokers) < 2:  # noqa: PLR2004  # one broker shows another that it is alive
        raise UsageError("Fewer than two brokers run: nobody shows that the other still has its network.")
    found: list[Fault] = []
    for component in _NAMES_ARE_ASKED_BY:
        for pod in site.platform.pods(component):
            if pod.status.phase == "Running":
                one = target.find(site.platform, pod.metadata.name)
                other = next(broker for broker in brokers if broker.uid != one.uid)
                port = isolation.REPLICATION if component == "kafka" else isolation.INTERNAL
                beside = Probe(one, other.address, port)
                found.append(isolation.from_dns(site.nodes, one, server=server, beside=beside, chosen=component))
    return found


def _deaf_servers(site: Site, seen_in: Target) -> list[Fault]:
    """All servers of cluster DNS, without questions: nobody in the cluster gets a name any more."""
    system = Platform(site.platform.kubeconfig, site.platform.context, _SYSTEM)
    pods = system.core.list_namespaced_pod(_SYSTEM, label_selector=_DNS_LABEL).items
    api = system.core.read_namespaced_service("kubernetes", "default").spec
    servers = [target.find(system, one.metadata.name) for one in pods if one.status.phase == "Running"]
    if not servers:
        raise UsageError(f"No pod with the label {_DNS_LABEL} runs in {_SYSTEM}: this cluster's DNS is elsewhere.")
    return [
        isolation.dns_server(
            site.nodes, one, client=seen_in, api=Probe(one, str(api.cluster_ip), int(api.ports[0].port))
        )
        for one in servers
    ]


def _dns_service(site: Site) -> str:
    """The address that pods ask for names."""
    return str(site.platform.core.read_namespaced_service(_DNS_SERVICE, _SYSTEM).spec.cluster_ip)


def feed_down(site: Site) -> Fault:
    """The price feed, which nobody reaches any more."""
    running = [one for one in site.platform.pods("feed") if one.status.phase == "Running"]
    if not running:
        raise UsageError(f"No pod of the feed runs in {site.platform.namespace}.")
    ports = [int(one.container_port) for one in running[0].spec.containers[0].ports or ()]
    return Unserved(site.platform, site.nodes, target.find(site.platform, running[0].metadata.name), ports)


def disk_full(site: Site, *, role: str, seed: int, path: str) -> Fault:
    """A broker whose volume is full."""
    found = site.one("broker", role, seed)
    return Filled(site.platform, site.nodes, found, path, site.chosen(role, seed, found.pod))


def rolling_restart(site: Site) -> Fault:
    """All brokers, one after another."""
    return Restarted(site.platform, site.nodes, site.admin)


def _harmed(site: Site, one: Target, how: str, chosen: str, harmed: Sequence[Target]) -> Fault:
    match how:
        case "sigkill":
            return Killed(site.platform, site.nodes, one, "KILL", chosen)
        case "sigterm":
            return Killed(site.platform, site.nodes, one, "TERM", chosen)
        case "pause":
            return Paused(site.nodes, one, chosen)
        case "isolated":
            return _cut_off(site, one, chosen, harmed, peers="everyone")
        case _:
            raise UsageError(f"There is no way {how!r} to harm a broker: give one of {', '.join(HOW)}.")


def _cut_off(
    site: Site,
    one: Target,
    chosen: str,
    harmed: Sequence[Target],
    *,
    peers: str,
    direction: str = "both",
    share: float = 1.0,
) -> Fault:
    """One broker that is cut off, as one sees it who is not harmed."""
    return isolation.broker(
        site.nodes,
        one,
        others=site.brokers(but=harmed),
        client=site.client(),
        peers=peers,
        direction=direction,
        loss=share,
        chosen=chosen,
    )


def _running(find: Callable[[T], Target], names: Iterable[T]) -> Iterator[Target]:
    """Those that run; one of which the container is just being started does not."""
    for name in names:
        with suppress(AssayError):
            yield find(name)
