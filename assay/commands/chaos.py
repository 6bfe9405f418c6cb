"""The command that breaks a platform: `chaos`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.commands.options import OUT, PROGRESS, target_options
from assay.verdict import Verdict

if TYPE_CHECKING:
    from assay.target import Target


@click.command()
@target_options
@click.argument("experiment", metavar="EXPERIMENT")
@click.option("--runs", default=1, show_default=True, type=click.IntRange(1), help="How many, each with its evidence.")
@click.option("--seed", default=1, show_default=True, type=int, help="Of the first run; each further has the next.")
@click.option("--folder", type=click.Path(path_type=Path), help="The campaign's. [default: runs/<id>]")
@click.option("--dry-run", is_flag=True, help="Only say what would be hit now.")
def chaos(target: Target, *, experiment: str, runs: int, seed: int, folder: Path | None, dry_run: bool) -> Verdict:
    """Run an experiment, many times where asked, and say how recovery spread; Ctrl-C heals first.

    EXPERIMENT is a file of Chaos Toolkit's, or the name of one in experiments/, such as pod-crash. With the --folder of
    a campaign that was cut off, it goes on with that.
    """
    from assay import experiment as experiments  # noqa: PLC0415  # see `assay.commands`
    from assay import run as recorded  # noqa: PLC0415  # see `assay.commands`
    from assay.campaign import running, terminal  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    path = experiments.find(experiment)
    platform = target.platform()
    phases = Phases(PROGRESS)
    if dry_run:
        for line in experiments.rehearse(path, platform, seed):
            OUT.print(line, highlight=False, soft_wrap=True)
        return Verdict.PASS
    record, series = running.run(
        path,
        platform,
        folder or recorded.default(),
        runs=runs,
        first_seed=seed,
        phases=phases,
        on_outcome=lambda outcome: terminal.tell(outcome, PROGRESS),
    )
    terminal.summary(record, series, OUT)
    return series.verdict
