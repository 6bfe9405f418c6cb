"""Which cluster a command is about, as the user named it."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assay.clusters.cluster import Cluster
    from assay.platform import Platform


@dataclass(frozen=True)
class Target:
    """A cluster by its kind (or `auto`), name, and, for clusters of others, kubeconfig and context."""

    kind: str
    name: str
    nodes: int
    address_range: str | None
    kubeconfig: Path | None
    context: str | None

    def cluster(self, tell: Callable[[str], None] = lambda _: None) -> Cluster:
        """The cluster, not yet asked for anything; `tell` is told what it is doing when it does.

        Raises:
            UsageError: There is no such kind of cluster here, or no such context.
        """
        # Imported when used: commands that need no cluster start without it.
        from assay.clusters.choose import Facts, choose  # noqa: PLC0415  # see above

        kind = choose(self.kind, Facts(self.context, docker_answers(), shutil.which("kind") is not None))
        if kind == "existing":
            from assay.clusters.existing import ExistingCluster  # noqa: PLC0415  # see above

            return ExistingCluster(self.kubeconfigs(), self.context, contexts_folder())
        if kind == "embedded":
            from assay.clusters.embedded import EmbeddedCluster  # noqa: PLC0415  # see above
            from assay.deploy import prepare_host  # noqa: PLC0415  # see above

            def prepare() -> None:
                prepare_host(tell)

            return EmbeddedCluster(
                self.name,
                nodes=self.nodes,
                address_range=self.address_range,
                prepare_host=prepare,
                report=tell,
            )
        from assay.clusters.docker import DockerCluster  # noqa: PLC0415  # see above

        return DockerCluster(kind, self.name, nodes=self.nodes, report=tell)

    def kubeconfigs(self) -> list[Path]:
        """The kubeconfig files that were named: by option, else by KUBECONFIG, else kubectl's own default."""
        if self.kubeconfig is not None:
            return [self.kubeconfig]
        named = [Path(name) for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
        return named or [Path.home() / ".kube" / "config"]

    def platform(self) -> Platform:
        """The platform on a cluster that is up.

        Raises:
            UsageError: There is no such cluster.
            AssayError: Cluster or platform do not answer.
        """
        from assay.platform import Platform  # noqa: PLC0415  # the Kubernetes client takes most of a second to import

        cluster = self.cluster()
        if not cluster.kubeconfig.exists():
            raise UsageError(f"There is no cluster {self.name!r} here: make it with `assay up`, or name a --context.")
        platform = Platform(cluster.kubeconfig, cluster.context)
        platform.check()
        return platform

    def facts(self) -> dict[str, str]:
        """What a manifest says of the cluster."""
        cluster = self.cluster()
        found = cluster.status()
        return {"kind": found.kind, "name": found.name, "context": cluster.context, "nodes": str(len(found.nodes))}


def docker_answers() -> bool:
    """Whether a Docker engine answers here; the client alone is not enough."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "version"], capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def contexts_folder() -> Path:
    """Where kubeconfig files of single contexts are written, private to the user."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "assay" / "contexts"
