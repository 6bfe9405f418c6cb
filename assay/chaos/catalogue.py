"""Every fault by its name: what it does, which arguments it takes, and how it is built.

This is all that experiments need to know:

    fault = catalogue.build("broker-sigkill", platform, nodes, admin, role="leader:0")
    with injected(fault, ledger, "kill-1", **catalogue.limits("broker-sigkill")):
        ...

`build` looks at what runs now, so that a role means whoever has it now, and changes nothing. Arguments are plain
values (text, whole numbers, numbers), so that they can stand in a YAML file. How long a fault lasts is for `injected`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict

import urllib3
from kubernetes import client

from assay.chaos import builders, roles
from assay.chaos.injection import BITE_SECONDS, HEAL_SECONDS
from assay.chaos.isolation import DIRECTIONS, PEERS
from assay.errors import AssayError, UsageError
from assay.platform import GROUP, TOPIC, reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.chaos.faults import Fault
    from assay.chaos.machines import Machines
    from assay.chaos.node import Nodes
    from assay.kafka.admin import Admin
    from assay.platform import Platform

Plain = str | int | float
"""What an argument can be."""


class Limits(TypedDict):
    """How long to wait until a fault bites and until it is healed, in seconds; arguments of `injected`."""

    bite_seconds: float
    heal_seconds: float


@dataclass(frozen=True)
class Argument:
    """One argument of a fault.

    Attributes:
        name: Its name.
        default: What it is where it is not given; what is given must be of the same type.
        meaning: One line.
        one_of: What it can be; empty: whatever its type allows.
        above: A number must be more than this.
        up_to: And at most this.
    """

    name: str
    default: Plain
    meaning: str
    one_of: tuple[str, ...] = ()
    above: float = -math.inf
    up_to: float = math.inf

    def checked(self, fault: str, value: object) -> Plain:
        """A value for it.

        Raises:
            UsageError: It can't be that.
        """
        kinds = (int, float) if isinstance(self.default, float) else (type(self.default),)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise UsageError(f"{fault} takes {_A[type(self.default)]} as {self.name}, not {value!r}.")
        if self.one_of and value not in self.one_of:
            raise UsageError(f"{fault} takes one of {', '.join(self.one_of)} as {self.name}, not {value!r}.")
        if not isinstance(value, str) and not self.above < value <= self.up_to:
            raise UsageError(
                f"{fault} takes a {self.name} above {self.above:g} and up to {self.up_to:g}, not {value!r}."
            )
        return float(value) if isinstance(self.default, float) else value


@dataclass(frozen=True)
class Entry:
    """One fault of the catalogue.

    Attributes:
        description: What it does, in one line.
        builder: Makes it of a site and all of its arguments.
        arguments: What it takes.
        bite_seconds: Within how long it must be seen to bite.
        heal_seconds: Within how long after healing it must be seen healed.
    """

    description: str
    builder: Callable[..., Fault]
    arguments: tuple[Argument, ...] = ()
    bite_seconds: float = BITE_SECONDS
    heal_seconds: float = HEAL_SECONDS

    def checked(self, name: str, given: dict[str, Plain]) -> dict[str, Plain]:
        """All of its arguments, as given or by default (pure).

        Raises:
            UsageError: One is given that it does not take, or that can't be.
        """
        known = {one.name: one for one in self.arguments}
        for unknown in given.keys() - known.keys():
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise UsageError(f"{name} has no argument {unknown!r}: {takes}.")
        return {one.name: one.checked(name, given.get(one.name, one.default)) for one in known.values()}


def build(
    name: str,
    platform: Platform,
    nodes: Nodes,
    admin: Admin,
    *,
    machines: Machines | None = None,
    topic: str = TOPIC,
    group: str = GROUP,
    **arguments: Plain,
) -> Fault:
    """A fault of the catalogue, for `injected`.

    Args:
        name: Its name in the catalogue.
        platform: The platform under test.
        nodes: Its cluster's nodes.
        admin: Asks its brokers.
        machines: The machines below its nodes; None: they are out of reach, and a node can't be crashed.
        topic: The topic that roles are about.
        group: The consumer group that roles are about.
        arguments: What the fault takes; see `entry(name).arguments`.

    Raises:
        UsageError: There is no such fault, it does not take such arguments, or nobody has the role.
        AssayError: Kafka or Kubernetes do not answer, or whom it is to hit does not run.
    """
    found = entry(name)
    checked = found.checked(name, arguments)
    try:
        return found.builder(builders.Site(platform, nodes, admin, machines, topic, group), **checked)
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        raise AssayError(f"Kubernetes does not say whom {name} is to hit: {reason(error)}.") from None


def entry(name: str) -> Entry:
    """What the catalogue says of a fault.

    Raises:
        UsageError: There is no such fault.
    """
    if name not in CATALOGUE:
        raise UsageError(f"There is no fault {name!r}: give one of {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def limits(name: str) -> Limits:
    """How long to wait for a fault.

    Raises:
        UsageError: There is no such fault.
    """
    found = entry(name)
    return {"bite_seconds": found.bite_seconds, "heal_seconds": found.heal_seconds}


_A: Final = {str: "text", int: "a whole number", float: "a number"}
_SEED: Final = Argument("seed", 0, "decides where several have the role; the same again decides the same")
_BROKER: Final = (Argument("role", "leader", f"which broker: {', '.join(roles.BROKERS)}"), _SEED)
_CONSUMER: Final = (Argument("role", "random", f"which consumer: {', '.join(roles.CONSUMERS)}"), _SEED)
_EITHER: Final = (
    Argument("who", "consumer", "a broker's or a consumer's", builders.WHO),
    Argument("role", "random", "which one, by the roles of brokers or of consumers"),
    _SEED,
)
_NODE: Final = (
    Argument("who", "broker", "on whose node", builders.WHO),
    Argument("role", "leader", "which one, by the roles of brokers or of consumers"),
    _SEED,
)
_SPARE: Final = Argument("spare", "none", "whose node is left alone: another of the role is looked for", builders.SPARE)
_PEERS: Final = Argument("peers", "everyone", "from whom", PEERS)
_DIRECTION: Final = Argument("direction", "both", "which packets are dropped, as the pod sees them", tuple(DIRECTIONS))
_SHARE: Final = Argument("share", 0.1, "of packets that is lost, each by chance", above=0, up_to=1)

#: Every fault by its name.
CATALOGUE: Final[dict[str, Entry]] = {
    "consumer-sigkill": Entry(
        "a consumer's processes end at once (SIGKILL) and it leaves no group",
        partial(builders.killed, who="consumer", signal="KILL"),
        _CONSUMER,
    ),
    "consumer-sigterm": Entry(
        "a consumer is asked to end (SIGTERM): it may commit and leave the group",
        partial(builders.killed, who="consumer", signal="TERM"),
        _CONSUMER,
        bite_seconds=60,
    ),
    "consumer-pause": Entry(
        "a consumer's processes are stopped (SIGSTOP): its connections stay, and it says nothing",
        partial(builders.paused, who="consumer"),
        _CONSUMER,
    ),
    "consumer-isolated": Entry(
        "a consumer's packets to and from Kafka are dropped", builders.consumer_isolated, (*_CONSUMER, _DIRECTION)
    ),
    "broker-sigkill": Entry(
        "a broker's processes end at once (SIGKILL)",
        partial(builders.killed, who="broker", signal="KILL"),
        _BROKER,
        heal_seconds=120,
    ),
    "broker-sigterm": Entry(
        "a broker is asked to end (SIGTERM): it may hand its partitions over first",
        partial(builders.killed, who="broker", signal="TERM"),
        _BROKER,
        bite_seconds=60,
        heal_seconds=120,
    ),
    "broker-pause": Entry(
        "a broker's processes are stopped (SIGSTOP): its connections stay, and it says nothing",
        partial(builders.paused, who="broker"),
        _BROKER,
    ),
    "broker-isolated": Entry(
        "a broker's packets are dropped: from everyone, from the other brokers, or from clients",
        builders.broker_dropped,
        (*_BROKER, _PEERS, _DIRECTION),
    ),
    "packet-loss": Entry("a share of a broker's packets is lost", builders.broker_dropped, (*_BROKER, _PEERS, _SHARE)),
    "two-brokers": Entry(
        "two brokers at once, without which fewer replicas are in sync than a write needs: no acknowledgement is right",
        builders.two_brokers,
        (Argument("how", "sigkill", "what is done to both", builders.HOW), _SEED),
        bite_seconds=60,
        heal_seconds=120,
    ),
    "pod-deleted": Entry(
        "a pod is deleted through the API, and its owner makes another",
        builders.deleted,
        (*_EITHER, Argument("grace", "normal", "how long it may take to end: its own time, or none", builders.GRACE)),
        bite_seconds=60,
        heal_seconds=120,
    ),
    "node-kill": Entry(
        "a node crashes with all its pods, and starts again, as by a reboot (embedded clusters only)",
        builders.node_crashed,
        (*_NODE, _SPARE),
        heal_seconds=240,
    ),
    "node-drain": Entry(
        "a node takes no pods, and the platform's pods on it are evicted, as far as disruption budgets allow",
        builders.node_drained,
        _NODE,
        bite_seconds=120,
        heal_seconds=180,
    ),
    "dns-down": Entry(
        "names get no answer",
        builders.dns_down,
        (
            Argument(
                "at",
                "clients",
                "the platform's own pods, as they are now, or the servers, for everybody in the cluster",
                builders.DNS_AT,
            ),
        ),
        bite_seconds=60,
    ),
    "feed-down": Entry("the price feed is reached by nobody", builders.feed_down, bite_seconds=60, heal_seconds=120),
    "disk-full": Entry(
        "a broker's volume is full, if it is a disk of its own",
        builders.disk_full,
        (*_BROKER, Argument("path", "/var/lib/kafka", "where the volume is mounted in the broker's container")),
        heal_seconds=240,
    ),
    "rolling-restart": Entry(
        "the brokers are restarted one after another, each made anew before the next",
        builders.rolling_restart,
        bite_seconds=90,
        heal_seconds=420,
    ),
}
