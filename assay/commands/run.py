"""Commands that record a run: `etl`, `load`, `drain`, `validate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.commands.options import OUT, PROGRESS, load_options, target_options
from assay.commands.plan import plan_of
from assay.manifest import Objectives
from assay.verdict import Verdict

if TYPE_CHECKING:
    from assay.target import Target


@click.command()
@target_options
@click.option("--folder", type=click.Path(path_type=Path), help="The run's folder. [default: runs/<run id>]")
def etl(target: Target, folder: Path | None) -> Verdict:
    """Run the ETL once, now, and say where every row went."""
    from assay import run as runs  # noqa: PLC0415  # see `assay.commands`
    from assay import stages  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`

    platform = target.platform()
    phases = Phases(PROGRESS)
    run = runs.begin(runs.claim(folder or runs.default()), plan_of(0, 0, 0), Objectives(), target.facts())
    with phases.phase("etl"):
        stages.run_etl(platform, run, phases)
    outcome = run.manifest.etl
    OUT.print_json(outcome.model_dump_json() if outcome else "{}")
    return Verdict.PASS if outcome and not outcome.unaccounted and not outcome.exit_code else Verdict.FAIL


@click.command()
@target_options
@load_options
@click.option("--topic", help="Another topic than the platform's: nobody consumes it, so its log alone is read back.")
@click.option(
    "--producer-setting",
    "producer_settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A setting of librdkafka's over the safe ones, to show what an unsafe producer does; repeatable.",
)
def load(
    target: Target,
    *,
    messages: int,
    rate: float,
    seed: int,
    folder: Path | None,
    topic: str | None,
    producer_settings: tuple[str, ...],
) -> Verdict:
    """Send messages through Locust and record every outcome; prints the run's folder for `assay drain`."""
    from assay import run as runs  # noqa: PLC0415  # see `assay.commands`
    from assay import stages  # noqa: PLC0415  # see `assay.commands`
    from assay.kafka import overrides  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`
    from assay.recording import recording  # noqa: PLC0415  # see `assay.commands`

    changes: dict[str, Any] = {"producer_settings": overrides.parse(producer_settings)}
    platform = target.platform()
    if topic is not None:
        changes |= stages.elsewhere(platform, topic)
    plan = plan_of(messages, rate, seed, **changes)
    phases = Phases(PROGRESS)
    run = runs.begin(runs.claim(folder or runs.default()), plan, Objectives(), target.facts())
    with phases.phase("load"), recording(platform, run, "load"):
        stages.load(platform, run, phases)
    run.phases(phases.seconds)
    OUT.print(str(run.folder), highlight=False, soft_wrap=True)
    return Verdict.PASS


@click.command()
@target_options
@click.argument("folder", type=click.Path(path_type=Path))
def drain(target: Target, folder: Path) -> Verdict:
    """Wait until the consumers have all of a run, and read Kafka's log and the sink back into FOLDER."""
    from assay import run as runs  # noqa: PLC0415  # see `assay.commands`
    from assay import stages  # noqa: PLC0415  # see `assay.commands`
    from assay.progress import Phases  # noqa: PLC0415  # see `assay.commands`
    from assay.recording import recording  # noqa: PLC0415  # see `assay.commands`

    platform = target.platform()
    phases = Phases(PROGRESS)
    run = runs.resume(folder)
    stages.expect_load(run)
    with phases.phase("drain"), recording(platform, run, "drain"):
        stages.drain(platform, run, phases)
    with phases.phase("collect"):
        stages.collect(platform, run, phases, target.cluster().audit_log)
    stages.seal(run, phases, run.manifest.peak_memory_bytes)
    return Verdict.PASS if run.manifest.drained or not run.manifest.plan.group else Verdict.UNKNOWN


@click.command()
@target_options
@load_options
@click.option("--keep", is_flag=True, help="Leave the cluster up afterwards.")
@click.option("--faults/--no-faults", default=True, show_default=True, help="Also break a pod, a broker, the network.")
@click.option("--posture/--no-posture", default=True, show_default=True, help="Also try what must be refused.")
def validate(
    target: Target,
    *,
    messages: int,
    rate: float,
    seed: int,
    folder: Path | None,
    keep: bool,
    faults: bool,
    posture: bool,
) -> Verdict:
    """From nothing to a verdict: up, deploy, pre-flight, ETL, load, drain, posture, three faults, judge, report.

    What is left out, the verdict says. A cluster that this command made is taken down at the end, unless --keep.
    """
    from assay.validation import EXPERIMENTS  # noqa: PLC0415  # see `assay.commands`
    from assay.validation import validate as validated  # noqa: PLC0415  # see `assay.commands`

    parts = {"preflight": True, "etl": True, "posture": posture}
    asked = {
        "parts": tuple(name for name, wanted in parts.items() if wanted),
        "left_out": tuple(name for name, wanted in {"posture": posture, "faults": faults}.items() if not wanted),
    }
    plan, experiments = plan_of(messages, rate, seed, **asked), EXPERIMENTS if faults else ()
    return validated(target, plan, folder, keep=keep, console=PROGRESS, out=OUT, experiments=experiments)
