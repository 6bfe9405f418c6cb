"""The cluster that a command or a run is about, from what the user asked for."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from assay.clusters import choose, kubeconfig, prepared, state
from assay.clusters.embedded import DEFAULT_NODES, EmbeddedCluster
from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.clusters.cluster import Cluster, Report


def describe(
    name: str = state.DEFAULT_NAME,
    *,
    asked: str = choose.AUTO,
    nodes: int | None = None,
    address_range: str | None = None,
    context: str | None = None,
    kubeconfig_path: Path | None = None,
    prepare_host: Callable[[], None] | None = None,
    report: Report = lambda _line: None,
) -> Cluster:
    """The cluster that is meant; nothing of it is made.

    Args:
        name: the cluster's name (the existing kind is named by its context).
        asked: `--cluster`: one of `choose.KINDS`.
        nodes: how many nodes it shall have; None takes what it has, or 3.
        address_range: for the embedded kind, like `10.201.0.0/16`; None takes the first free one.
        context: `--context`: an existing cluster's.
        kubeconfig_path: `--kubeconfig`; None follows KUBECONFIG as `kubectl` does.
        prepare_host: runs playbooks/host.yml when the embedded kind lacks what it prepares.
        report: called with each line of progress.

    Raises:
        UsageError: the options contradict each other, or name something that isn't there.
    """
    record = None if context is not None else state.State(state.root() / state.checked_name(name)).record()
    if record is not None and asked == choose.AUTO:
        asked = record.kind  # it is there already
    kind = choose.choose(asked, _facts(context) if asked == choose.AUTO else choose.Facts(context, False, False))
    if address_range is not None and kind != "embedded":
        raise UsageError(f"--range is for the embedded cluster only, not for {kind}")
    count = nodes if nodes is not None else record.nodes if record is not None else DEFAULT_NODES
    match kind:
        case "existing":
            if nodes is not None:
                raise UsageError("--nodes can't be given for an existing cluster: it has the nodes that it has")
            paths = (kubeconfig_path,) if kubeconfig_path is not None else kubeconfig.default_paths()
            from assay.clusters.existing import ExistingCluster  # noqa: PLC0415  # slow to import

            return ExistingCluster(paths, context, prepared.cache() / "contexts")
        case "embedded":
            return EmbeddedCluster(
                name, nodes=count, address_range=address_range, prepare_host=prepare_host, report=report
            )
        case _:
            from assay.clusters.docker import DockerCluster  # noqa: PLC0415  # slow to import

            return DockerCluster(kind, name, nodes=count, report=report)


def _facts(context: str | None) -> choose.Facts:
    if context is not None:
        return choose.Facts(context, docker=False, kind_tool=False)
    kind_tool = shutil.which("kind") is not None
    if not kind_tool:
        return choose.Facts(context, docker=False, kind_tool=False)
    from assay.clusters.docker import engine_answers  # noqa: PLC0415  # slow to import

    return choose.Facts(context, docker=engine_answers(), kind_tool=True)
