"""What every kind of cluster can do, and how it describes itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from assay.errors import AssayError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Report = Callable[[str], None]
"""Called with one line of progress for a person."""

Kind = Literal["embedded", "existing", "kind", "k3d", "minikube"]


class ClusterError(AssayError):
    """A cluster did not do what it should; the message is one sentence: what, where, what to do."""


@dataclass(frozen=True)
class NodeStatus:
    """One node as seen from outside and by the API server.

    Attributes:
        name: the node's name in Kubernetes.
        address: its IPv4 address, or an empty string where the provider doesn't know.
        alive: whether its machine (for the embedded kind, its first process) runs; None where the provider can't see.
        ready: its Ready condition; None where the API server could not be asked or does not know the node.
    """

    name: str
    address: str
    alive: bool | None
    ready: bool | None


@dataclass(frozen=True)
class ClusterStatus:
    """One cluster.

    Attributes:
        name: the cluster's name.
        kind: who provides it.
        state: `up` (the API server answers), `partial` (half made, or it died), or `absent`.
        nodes: its nodes, by name.
        kubeconfig: the file to reach it with, or None if it has none.
        context: the context in that file.
        memory_bytes: memory of everything it runs, shared pages shared out; None where the provider can't see.
    """

    name: str
    kind: str
    state: Literal["up", "partial", "absent"]
    nodes: tuple[NodeStatus, ...] = ()
    kubeconfig: Path | None = None
    context: str | None = None
    memory_bytes: int | None = None


class Cluster(Protocol):
    """A Kubernetes cluster that can be made, used and removed. Its kubeconfig is always one explicit file."""

    @property
    def name(self) -> str:
        """The cluster's name."""

    @property
    def kubeconfig(self) -> Path:
        """One explicit kubeconfig file that holds only this cluster's context."""

    @property
    def context(self) -> str:
        """The context's name in that file."""

    @property
    def audit_log(self) -> Path | None:
        """The API server's audit log on this machine, for `assay.audit`; None: there is none, or it is out of reach."""

    @property
    def clients(self) -> tuple[str, ...]:
        """The addresses that its nodes see this machine connect from, as ranges; none: that is not known."""

    def available(self) -> str | None:
        """Why this kind of cluster can't be had on this machine, in one sentence; None if it can."""

    def create(self) -> None:
        """Make the cluster, or find it there already, until its API answers and its nodes are Ready.

        Raises:
            UsageError: it can't be made as asked; nothing was changed.
            ClusterError: it was begun and did not get there.
        """

    def load_images(self, archives: Sequence[Path]) -> None:
        """Give every node the images of these docker-archive files.

        Raises:
            ClusterError: a node refused one.
        """

    def logs(self, folder: Path) -> None:
        """Collect what the cluster's own parts logged into the folder, which is made if it isn't there."""

    def status(self) -> ClusterStatus:
        """The cluster as it is now. Never raises because a part of it is dead."""

    def delete(self) -> None:
        """Remove what `create` made and nothing else. Removing what isn't there is fine."""
