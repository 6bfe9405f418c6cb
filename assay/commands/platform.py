"""Commands that provision the platform: `deploy`, `rotate`, `teardown`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from assay.commands.options import OUT, PROGRESS, target_options
from assay.errors import UsageError
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.clusters.cluster import Cluster
    from assay.target import Target


@click.command()
@target_options
@click.option("-e", "--extra", "extras", multiple=True, metavar="NAME=VALUE", help="A playbook variable; repeatable.")
def deploy(target: Target, extras: tuple[str, ...]) -> Verdict:
    """Provision the platform with playbooks/site.yml; a second run changes nothing."""
    from assay.deploy import deploy as provision  # noqa: PLC0415  # see `assay.commands`
    from assay.deploy import known  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    phases = Phases(PROGRESS)
    with phases.phase("deploy"):
        cluster = target.made(phases.tell)
        variables = {**known(cluster), **_variables(extras)}
        result = provision(cluster.kubeconfig, cluster.context, variables, phases.tell)
    OUT.print(f"{result.changed} tasks changed something.", highlight=False)
    _tell_certificates(cluster, _variables(extras))
    return Verdict.PASS


@click.command()
@target_options
@click.option(
    "--what",
    type=click.Choice(["certificates", "secrets"]),
    help="Kafka's certificates alone, or passwords and tokens alone. [default: all that the platform has]",
)
@click.option(
    "-e", "--extra", "extras", multiple=True, metavar="NAME=VALUE", help="As of `deploy`, and as given there."
)
def rotate(target: Target, what: str | None, extras: tuple[str, ...]) -> Verdict:
    """Give the platform new certificates, passwords and tokens, under load and without a lost message.

    What the inventory's vault was given anew is taken from there; the rest is made. A rotation that was cut off goes on
    when it is run again. The last step shuts out whoever still shows an old certificate or token; of certificates, -e
    platform_certificates_drop=false leaves that to the next time.
    """
    from assay.deploy import rotate as renew  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    phases = Phases(PROGRESS)
    variables = _variables(extras)
    with phases.phase("rotate"):
        cluster = target.made(phases.tell)
        parts = () if what is None else (what,)
        result = renew(cluster.kubeconfig, cluster.context, variables, phases.tell, parts=parts)
    OUT.print(f"{result.changed} tasks changed something.", highlight=False)
    _tell_certificates(cluster, variables)
    return Verdict.PASS


@click.command()
@target_options
def teardown(target: Target) -> Verdict:
    """Remove the platform, and only what is ours, from a cluster that stays."""
    from assay import credentials  # noqa: PLC0415  # see `assay.commands`
    from assay.deploy import teardown as remove  # noqa: PLC0415  # see `assay.commands`
    from assay.platform import NAMESPACE  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    phases = Phases(PROGRESS)
    with phases.phase("teardown"):
        cluster = target.made(phases.tell)
        remove(cluster.kubeconfig, cluster.context, on_event=phases.tell)
        credentials.forget(cluster.kubeconfig, NAMESPACE)
    return Verdict.PASS


def _tell_certificates(cluster: Cluster, variables: Mapping[str, str]) -> None:
    """Write the files that Kafka's clients outside the cluster need, and say how to name them to other tools."""
    from assay import credentials  # noqa: PLC0415  # see `assay.commands`
    from assay.platform import NAMESPACE, Platform  # noqa: PLC0415  # see `assay.commands`

    namespace = variables.get("platform_namespace", NAMESPACE)
    for name, value in credentials.provide(Platform(cluster.kubeconfig, cluster.context, namespace)).items():
        OUT.print(f"export {name}={value}", highlight=False, soft_wrap=True)


def _variables(extras: tuple[str, ...]) -> dict[str, str]:
    """Playbook variables given as NAME=VALUE."""
    pairs = [extra.partition("=") for extra in extras]
    for name, equals, _ in pairs:
        if not name or not equals:
            raise UsageError(
                f"--extra {name!r} is not NAME=VALUE: write for instance --extra platform_image_tag=0.2.0."
            )
    return {name: value for name, _, value in pairs}
