"""The embedded cluster as a provider of pytest-kubernetes, whose own list of providers is fixed.

Its `k8s_manager` fixture is overridden with one that gives this class for the name `embedded`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kubernetes.providers.base import AClusterManager  # type: ignore[import-untyped]  # theirs

from assay.clusters.api import node_conditions
from assay.clusters.embedded import DEFAULT_NODES, EmbeddedCluster
from assay.clusters.prepared import cache, find

if TYPE_CHECKING:
    from pytest_kubernetes.options import ClusterOptions  # type: ignore[import-untyped]  # theirs


class EmbeddedManager(AClusterManager):  # type: ignore[misc]  # theirs is untyped
    """Makes embedded clusters for the `k8s` fixture. `kubectl` is needed for its kubectl methods only."""

    @classmethod
    def get_binary_name(cls) -> str:
        """The program it stands on."""
        return "assay-cluster"

    @property
    def _exec_path(self) -> Path:
        found = find(cache())
        return (found.bin if found else cache()) / "assay-cluster"

    def _ensure_executable(self) -> None:
        """Whether the cluster can be made is said, with its reason, when it is made."""

    @property
    def embedded(self) -> EmbeddedCluster:
        """The cluster behind it."""
        return EmbeddedCluster(self.cluster_name, nodes=DEFAULT_NODES)

    def _on_create(self, cluster_options: ClusterOptions, **_kwargs: Any) -> None:
        embedded = self.embedded
        embedded.create()
        if cluster_options.kubeconfig_path is not None:
            Path(cluster_options.kubeconfig_path).write_bytes(embedded.kubeconfig.read_bytes())

    def ready(self, timeout: int = 20) -> bool:  # noqa: ARG002  # `create` has waited already
        """Whether all nodes are Ready. pytest-kubernetes would ask through kubectl, which need not be there."""
        known = node_conditions(self.embedded.kubeconfig) if self.embedded.kubeconfig.exists() else None
        return known is not None and all(known.values())

    def _on_delete(self) -> None:
        self.embedded.delete()

    def load_image(self, image: str) -> None:
        """Import a docker-archive on every node.

        Args:
            image: the archive's path; there is no image store on the machine that a name could mean.
        """
        self.embedded.load_images([Path(image)])
