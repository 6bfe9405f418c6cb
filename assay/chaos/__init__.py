"""Doing harm, provably: faults that are seen to bite, heal themselves after a limit, and leave rows in a ledger.

On the node:

- `node_program`: what does it there, with its parts `node_processes`, `node_disk` and `node_network`; sent as text, so
  that it knows nothing of ours;
- `node`: having the program run on a node, directly where the node is a set of namespaces of this machine;
- `node_pods`: the same through a short-lived privileged pod on any cluster's node;
- `machines`: what can crash a whole node, where that can be done;
- `packets`: which packets are dropped, as plain data (pure), and the nftables rules that say so.

Whom:

- `target`: the pod and container that a fault is about;
- `roles`: who is meant by a role, such as the leader of a partition;
- `readiness`: how many pods are ready, by what owns them.

What:

- `faults`: killing, pausing, and dropping packets: how each is done, seen and undone;
- `isolation`: whom a broker or consumer is cut off from (pure), and by which connections that is seen;
- `deletion`, `crash`, `drain`, `disk`, `rolling`: of pods, of nodes, of volumes, of all brokers one after another;
- `composite`, `witness`, `names`: several at once, and what else must be seen of one.

How:

- `catalogue`: every fault by its name, with its arguments, for experiments; `builders` makes them;
- `injection`: one injection from asking to healed, in the ledger.

And on top of these, what makes it an extension of Chaos Toolkit:

- `consent`, `lease`: who may be harmed, and that one experiment runs at a time;
- `injections`, `foreign`: all of an experiment's injections, and harm that another extension does;
- `background`: a load beside the experiment;
- `environment`, `session`: what an experiment is run on, and what its actions share;
- `watch`: whether the service is steady, and whether it is back;
- `actions`, `probes`, `control`: what experiments name.
"""

from __future__ import annotations

from typing import Any


def discover(discover_system: bool = True) -> dict[str, Any]:  # noqa: ARG001  # Chaos Toolkit's interface
    """What experiments can name, for `chaos discover assay`."""
    # Imported when used: most of what uses faults needs no Chaos Toolkit.
    from chaoslib.discovery.discover import (  # type: ignore[import-untyped]  # noqa: PLC0415  # theirs; see above
        discover_actions,
        discover_probes,
        initialize_discovery_result,
    )

    from assay import __version__  # noqa: PLC0415  # see above

    found: dict[str, Any] = initialize_discovery_result("assay", __version__, "kafka")
    found["activities"] += discover_actions("assay.chaos.actions") + discover_probes("assay.chaos.probes")
    return found
