"""Commands on a cluster: `up`, `status`, `down`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from assay.commands.options import OUT, PROGRESS, target_options
from assay.verdict import Verdict

if TYPE_CHECKING:
    from assay.target import Target


@click.command()
@target_options
def up(target: Target) -> Verdict:
    """Make a cluster, or find it up already."""
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    phases = Phases(PROGRESS)
    with phases.phase("up"):
        cluster = target.up(phases.tell, phases.warn)
    OUT.print(f"export KUBECONFIG={cluster.kubeconfig}", highlight=False, soft_wrap=True)
    return Verdict.PASS


@click.command()
@target_options
def status(target: Target) -> Verdict:
    """Say what is there of a cluster; exit code 0 when it is up."""
    found = target.cluster().status()
    table = Table(title=f"{found.name} ({found.kind}): {found.state}", title_justify="left")
    for heading in ("node", "address", "alive", "ready"):
        table.add_column(heading)
    words = {True: "yes", False: "no", None: "?"}
    for node in found.nodes:
        table.add_row(node.name, node.address, words[node.alive], words[node.ready])
    OUT.print(table)
    if found.memory_bytes is not None:
        OUT.print(f"memory {found.memory_bytes / 2**30:.1f} GiB", highlight=False)
    if found.kubeconfig is not None:
        OUT.print(f"export KUBECONFIG={found.kubeconfig}", highlight=False, soft_wrap=True)
    return Verdict.PASS if found.state == "up" else Verdict.FAIL


@click.command()
@target_options
def down(target: Target) -> Verdict:
    """Remove a cluster and everything that `up` made; removing what isn't there is fine."""
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    phases = Phases(PROGRESS)
    with phases.phase("down"):
        target.cluster(phases.tell).delete()
    return Verdict.PASS
