"""Which cluster a command is about, as the user named it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.clusters.cluster import Cluster
    from assay.platform import Platform
    from assay.posture.scene import Scene


@dataclass(frozen=True)
class Target:
    """A cluster by its kind (or `auto`), name, and, for clusters of others, kubeconfig and context."""

    kind: str
    name: str
    nodes: int | None
    address_range: str | None
    kubeconfig: Path | None
    context: str | None

    def cluster(self, tell: Callable[[str], None] = lambda _: None) -> Cluster:
        """The cluster, not yet asked for anything; `tell` is told what it is doing when it does.

        Raises:
            UsageError: There is no such kind of cluster here, or no such context.
        """
        # Imported when used: commands that need no cluster start without it.
        from assay.clusters import fleet  # noqa: PLC0415  # see above

        def prepare() -> None:
            from assay import host  # noqa: PLC0415  # see above

            host.ensure(tell)

        return fleet.describe(
            self.name,
            asked=self.kind,
            nodes=self.nodes,
            address_range=self.address_range,
            context=self.context,
            kubeconfig_path=self.kubeconfig,
            prepare_host=prepare,
            report=tell,
        )

    def made(self, tell: Callable[[str], None] = lambda _: None) -> Cluster:
        """The cluster, which has been made.

        Raises:
            UsageError: There is no such cluster.
        """
        cluster = self.cluster(tell)
        if not cluster.kubeconfig.exists():
            raise UsageError(f"There is no cluster {self.name!r} here: make it with `assay up`, or name a --context.")
        return cluster

    def up(self, tell: Callable[[str], None], warn: Callable[[str], None] = lambda _: None) -> Cluster:
        """The cluster, made or found up; an embedded one that is made, from what the present sources build.

        Args:
            tell: Told what is being done.
            warn: Told if a cluster that was found up was made from other sources.

        Raises:
            UsageError: It can't be made here or as asked; nothing was changed.
            AssayError: It was begun and did not get there.
        """
        from assay.clusters.embedded import EmbeddedCluster  # noqa: PLC0415  # see above

        cluster = self.cluster(tell)
        if isinstance(cluster, EmbeddedCluster):
            from assay import host  # noqa: PLC0415  # see above

            if cluster.status().state != "up":
                host.ensure(tell)
            elif cluster.outdated() or not host.is_current():
                warn(
                    f"cluster {self.name!r} was made from other sources than the present ones, and keeps its programs "
                    "and images; `assay down`, then `assay up`, makes it anew"
                )
        cluster.create()
        return cluster

    def platform(self) -> Platform:
        """The platform on a cluster that is up.

        Raises:
            UsageError: There is no such cluster.
            AssayError: Cluster or platform do not answer.
        """
        from assay import credentials  # noqa: PLC0415  # see below
        from assay.platform import Platform  # noqa: PLC0415  # the Kubernetes client takes most of a second to import

        cluster = self.made()
        platform = Platform(cluster.kubeconfig, cluster.context)
        platform.check()
        credentials.provide(platform)
        return platform

    def scene(self, platform: Platform | None = None) -> Scene:
        """What posture looks at: the platform, and what of its cluster this machine can see besides its API.

        Args:
            platform: The platform, if it was reached already.

        Raises:
            UsageError: There is no such cluster.
            AssayError: Cluster or platform do not answer.
        """
        from assay.audit import read_events  # noqa: PLC0415  # see above
        from assay.clusters.embedded import EmbeddedCluster  # noqa: PLC0415  # see above
        from assay.posture.scene import Scene  # noqa: PLC0415  # see above

        cluster = self.cluster()
        log = cluster.audit_log
        return Scene(
            platform or self.platform(),
            etcd=cluster.etcd if isinstance(cluster, EmbeddedCluster) else None,
            audit=None if log is None else partial(read_events, log),
        )

    def facts(self) -> dict[str, str]:
        """What a manifest says of the cluster."""
        cluster = self.cluster()
        found = cluster.status()
        return {"kind": found.kind, "name": found.name, "context": cluster.context, "nodes": str(len(found.nodes))}
