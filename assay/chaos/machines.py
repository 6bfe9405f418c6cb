"""The machines below a cluster's nodes, where they can be reached: the interface by which a node is crashed.

An embedded cluster has it (`assay.clusters.embedded.EmbeddedCluster`). Of any other cluster the machines are out of
reach from here, and a node's crash is for whoever owns them.
"""

from __future__ import annotations

from typing import Protocol


class Machines(Protocol):
    """A cluster's nodes as machines, by their names in Kubernetes."""

    def crash_node(self, name: str, seconds: float) -> None:
        """End all processes of a node at once; it starts again after the time, though the caller has died.

        Raises:
            UsageError: There is no such node.
            AssayError: It does not run, or can't be crashed.
        """

    def revive_node(self, name: str) -> None:
        """Start a node that was crashed, unless it runs; returns before Kubernetes finds it ready.

        Raises:
            UsageError: There is no such node.
            AssayError: It can't be started.
        """

    def node_processes(self, name: str) -> tuple[tuple[int, int], ...]:
        """A node's live processes, its own programs' and all its pods': pid, and start time in clock ticks since boot.

        Raises:
            UsageError: There is no such node.
        """
