"""Commands on evidence alone, anywhere: `judge`, `report`, `selftest`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.commands.options import OUT, PROGRESS, engine_options

if TYPE_CHECKING:
    from assay.verdict import Verdict


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@engine_options
def judge(folder: Path, processes: int | None, dask: str | None) -> Verdict:
    """Compute the verdict of a run's evidence, offline; writes verdict.json into FOLDER."""
    from assay import report as reports  # noqa: PLC0415  # see `assay.commands`
    from assay.engine import engine  # noqa: PLC0415  # see `assay.commands`

    with engine(processes, dask) as workers:
        judgement, _ = reports.judged(folder, workers)
    reports.summary(judgement, OUT)
    return judgement.verdict


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@engine_options
def report(folder: Path, processes: int | None, dask: str | None) -> Verdict:
    """Judge a run's evidence and write verdict.json, report.html and junit.xml into FOLDER."""
    from assay import report as reports  # noqa: PLC0415  # see `assay.commands`
    from assay.engine import engine  # noqa: PLC0415  # see `assay.commands`

    with engine(processes, dask) as workers:
        judgement, written = reports.judged(folder, workers)
    for path in [*written, *reports.write(folder, judgement)]:
        OUT.print(str(path), highlight=False, soft_wrap=True)
    return judgement.verdict


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--histories", default=1000, show_default=True, type=click.IntRange(0), help="Clean ones to judge.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="Where the clean histories begin.")
@click.option("--pairs/--no-pairs", default=True, show_default=True, help="Also seed two anomalies at once.")
@engine_options
def selftest(
    folder: Path | None, *, histories: int, seed: int, pairs: bool, processes: int | None, dask: str | None
) -> Verdict:
    """Judge the judge: seed every anomaly into copies of a run that passed, and clean histories that must stay clean.

    FOLDER is the evidence of a run that passed; without it, a made-up run is used.
    """
    from assay.engine import engine  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`
    from assay.selftest import report as told  # noqa: PLC0415  # see `assay.commands`
    from assay.selftest import trial  # noqa: PLC0415  # see `assay.commands`

    trial.check_source(folder)
    phases = Phases(PROGRESS)
    with engine(processes, dask) as workers:
        with phases.phase("mutations"):
            results = trial.trials(folder, workers, phases.advance, pairs=pairs)
        with phases.phase("histories"):
            alarms = trial.acquittals(histories, seed, workers, phases.advance)
    return told.tell(results, histories, alarms, OUT)
