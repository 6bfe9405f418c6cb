"""A node's crash that ends by itself: kills the node, and starts it again after a time, unless somebody has before.

Called by file path, as the supervisor is, with the clusters' root, the cluster, the node and the seconds. It carries
the cluster's token, so that removing the cluster ends it too.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assay.clusters.embedded import EmbeddedCluster

TICK_SECONDS = 0.2


def crash(cluster: EmbeddedCluster, node: str, seconds: float) -> None:
    """Kill a node, and start it again.

    Raises:
        ClusterError: the cluster is not up, or the node can't be killed or started.
    """
    deadline = time.monotonic() + seconds
    cluster.kill_node(node)
    while time.monotonic() < deadline:
        if cluster.node_runs(node):
            return  # somebody started it: another crash after that is not ours to end
        time.sleep(TICK_SECONDS)
    cluster.revive_node(node)


def main() -> None:
    """Do what the command line says."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from assay.clusters.embedded import EmbeddedCluster  # noqa: PLC0415  # it is found only now

    root, name, node, seconds = sys.argv[1:]
    crash(EmbeddedCluster(name, root=Path(root)), node, float(seconds))


if __name__ == "__main__":
    main()
