"""What an experiment is run on and how, read from the environment, since `chaos run` hands nothing else on.

Everything is optional: KUBECONFIG and its current context, a new run folder and the platform's usual namespace are
meant where nothing is said.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic looks the type up when it runs
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from assay import credentials
from assay.clusters import fleet, kubeconfig, state
from assay.errors import UsageError
from assay.platform import NAMESPACE, Platform

if TYPE_CHECKING:
    from assay.clusters.cluster import Cluster
    from assay.clusters.embedded import EmbeddedCluster

_PREFIX: Final = "ASSAY_"


class Environment(BaseSettings):
    """The environment's `ASSAY_...` variables.

    Attributes:
        kubeconfig: A kubeconfig; by default the files of KUBECONFIG, as `kubectl` reads them.
        context: A context of it; by default the current one.
        namespace: The platform's namespace.
        run_folder: Where the evidence goes; by default runs/<run id>.
        seed: Of the made-up prices, and of choosing among several targets that fit.
        chaos_contexts: Contexts of clusters that may be harmed, with commas between them.
        dry_run: Only say what would be hit.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_ignore_empty=True, frozen=True)

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str = NAMESPACE
    run_folder: Path | None = None
    seed: int = 1
    chaos_contexts: str = ""
    dry_run: bool = False

    def cluster(self) -> Cluster:
        """The cluster, as one explicit kubeconfig file with one context: tools that merge files have been seen to err.

        Raises:
            UsageError: There is no such kubeconfig or context.
        """
        return fleet.describe(asked="existing", context=self.context, kubeconfig_path=self.kubeconfig)

    def allowed_contexts(self) -> frozenset[str]:
        """The contexts that were named as ones that may be harmed."""
        return frozenset(filter(None, (one.strip() for one in self.chaos_contexts.split(","))))


def read() -> Environment:
    """The environment as it is now.

    Raises:
        UsageError: A variable makes no sense.
    """
    try:
        return Environment()
    except ValidationError as error:
        first = error.errors()[0]
        name = _PREFIX + str(first["loc"][0]).upper()
        raise UsageError(f"{name}={first['input']!r} can't be used: {first['msg']}.") from None


def made_here(cluster: Cluster) -> EmbeddedCluster | None:
    """The cluster as `assay up` made it, from namespaces of this machine; None: it did not.

    It is told by its server and that one's authority: anybody may call a context so.
    """
    there = _server(cluster.kubeconfig)
    for record in state.existing(state.root()):
        path = state.State(state.root() / record.name).kubeconfig
        if record.kind == "embedded" and path.is_file() and _server(path) == there:
            from assay.clusters.embedded import EmbeddedCluster  # noqa: PLC0415  # slow to import

            return EmbeddedCluster(record.name)
    return None


def platform_on(cluster: Cluster, namespace: str) -> Platform:
    """The platform on a cluster.

    Raises:
        UsageError: The kubeconfig can't be used.
        AssayError: Cluster or platform do not answer.
    """
    platform = Platform(cluster.kubeconfig, cluster.context, namespace)
    platform.check()
    credentials.provide(platform)
    return platform


def _server(path: Path) -> object:
    """A kubeconfig's only cluster: its address and authority."""
    (found,) = kubeconfig.minify(kubeconfig.merge([path]), None)["clusters"]
    return found["cluster"]
