"""Commands that look at a platform and send it nothing: `preflight`, `posture`, `rights`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from assay.commands.options import OUT, PROGRESS, target_options
from assay.commands.plan import plan_of
from assay.errors import UsageError
from assay.manifest import Objectives
from assay.verdict import Verdict, worst

if TYPE_CHECKING:
    from assay.rights import Job
    from assay.target import Target


@click.command()
@target_options
def preflight(target: Target) -> Verdict:
    """Try names, paths, policies and resources from the workloads' own pods; nothing is changed.

    Also says which objectives of recovery the live settings can't keep, and which settings to change to what.
    """
    from assay import stages  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`
    from assay.recovery import feasibility  # noqa: PLC0415  # see `assay.commands`
    from assay.recovery.table import show  # noqa: PLC0415  # see `assay.commands`

    platform = target.platform()
    phases = Phases(PROGRESS)
    with phases.phase("preflight"):
        checks = stages.check_platform(platform, Objectives().replicas, phases)
        _, judged = stages.check_recovery(platform, plan_of(0, 0, 0), Objectives(), phases)
    table = Table()
    for heading in ("check", "verdict", "detail"):
        table.add_column(heading)
    for check in checks:
        table.add_row(check.name, check.verdict, check.detail)
    OUT.print(table)
    show(judged, OUT)
    return worst([*(Verdict(check.verdict) for check in checks), feasibility.verdict(judged)])


@click.command()
@target_options
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the findings into this file.")
def posture(target: Target, json_file: Path | None) -> Verdict:
    """Try what must be refused, beside what must be allowed, and look at what is there; nothing lasting is made.

    Each probe says what was tried, what happened, and which standard asks for it.
    """
    from assay.posture import document  # noqa: PLC0415  # see `assay.commands`
    from assay.posture import report as told  # noqa: PLC0415  # see `assay.commands`
    from assay.posture.survey import survey  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: there is no folder {json_file.absolute().parent}; make it first.")
    scene = target.scene()
    phases = Phases(PROGRESS)
    with phases.phase("posture"):
        findings = survey(scene, phases.tell)
    if json_file is not None:
        json_file.write_text(document.text(findings))
    return told.show(findings, OUT)


@click.command()
@click.option(
    "--for",
    "jobs",
    multiple=True,
    type=click.Choice(["deploy", "validate", "chaos"]),
    help="What is to be done; repeatable.  [default: all of them]",
)
@click.option("--namespace", help="The platform's.  [default: production]")
@click.option("--user", default="", help="Bind the rights to this user, such as system:serviceaccount:SPACE:NAME.")
def rights(jobs: tuple[Job, ...], namespace: str | None, user: str) -> Verdict:
    """Print the rights that Assay needs on a cluster that it did not make, as YAML for `kubectl apply --filename -`.

    Each rule says what it is for. Where it says "only for", it can be left out by whoever does not want that.
    """
    from assay.platform import NAMESPACE  # noqa: PLC0415  # see `assay.commands`
    from assay.rights import JOBS, needed, text  # noqa: PLC0415  # see `assay.commands`

    asked = jobs or JOBS
    click.echo(text(needed(asked), asked, namespace or NAMESPACE, user), nl=False)
    return Verdict.PASS
