"""Options that several commands share, and where commands print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console

from assay.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

#: What was asked for, and beside it what is being done.
OUT: Final = Console()
PROGRESS: Final = Console(stderr=True)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that name a cluster, handed over as one `target`."""

    def wrapped(
        *,
        kind: str,
        name: str,
        nodes: int | None,
        address_range: str | None,
        kubeconfig: Path | None,
        context: str | None,
        **rest: Any,
    ) -> Any:
        return command(Target(kind, name, nodes, address_range, kubeconfig, context), **rest)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # click's own way
    options = [
        click.option(
            "--cluster",
            "kind",
            default="auto",
            show_default=True,
            type=click.Choice(["auto", "embedded", "existing", "kind", "k3d", "minikube"]),
            help="auto: an explicit --context, else Docker's kind, else embedded.",
        ),
        click.option("--name", default="assay", show_default=True, help="The cluster's name."),
        click.option("--nodes", type=click.IntRange(1, 20), help="Nodes of a new cluster.  [default: 3]"),
        click.option(
            "--range", "address_range", help="Address range of a new embedded cluster, such as 10.205.0.0/16."
        ),
        click.option(
            "--kubeconfig", type=click.Path(path_type=Path), envvar="ASSAY_KUBECONFIG", help="Default: KUBECONFIG."
        ),
        click.option("--context", help="A context of that kubeconfig: use this cluster as it is."),
    ]
    decorated: Callable[..., Any] = wrapped
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def load_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is sent."""
    for option in reversed(
        [
            click.option(
                "--messages", default=100_000, show_default=True, type=click.IntRange(1), help="How many, exactly."
            ),
            click.option(
                "--rate",
                default=10_000.0,
                show_default=True,
                type=click.FloatRange(0),
                help="Messages a second; 0: as fast as it goes.",
            ),
            click.option(
                "--seed", default=1, show_default=True, type=int, help="The same seed makes the same messages."
            ),
            click.option(
                "--folder", type=click.Path(path_type=Path), help="The run's folder. [default: runs/<run id>]"
            ),
        ]
    ):
        command = option(command)
    return command


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say who does the judge's work."""
    processes = click.option("--processes", type=click.IntRange(1), help="Default: one a processor.")
    dask = click.option("--dask", metavar="ADDRESS", help="A Dask scheduler instead, such as tcp://10.0.0.5:8786.")
    return processes(dask(command))
