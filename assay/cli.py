"""The `assay` command: one thin layer of options over the stages; what a user can cause ends in one sentence.

Exit codes: 0 pass, 1 fail, 2 unknown (also: what was asked could not be done), 254 wrong usage, 255 crash.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from assay import __version__
from assay.errors import AssayError, UsageError
from assay.manifest import Objectives, Plan
from assay.target import Target
from assay.verdict import EXIT_CRASH, EXIT_USAGE, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.clusters.cluster import Cluster

OUT = Console()
PROGRESS = Console(stderr=True)


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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="assay")
def cli() -> None:
    """Test a Kafka data platform on Kubernetes before production does."""


@cli.command()
@target_options
def up(target: Target) -> Verdict:
    """Make a cluster, or find it up already."""
    from assay.progress import Phases  # noqa: PLC0415  # see above

    phases = Phases(PROGRESS)
    with phases.phase("up"):
        cluster = target.up(phases.tell)
    OUT.print(f"export KUBECONFIG={cluster.kubeconfig}", highlight=False, soft_wrap=True)
    return Verdict.PASS


@cli.command()
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


@cli.command()
@target_options
def down(target: Target) -> Verdict:
    """Remove a cluster and everything that `up` made; removing what isn't there is fine."""
    from assay.progress import Phases  # noqa: PLC0415  # see above

    phases = Phases(PROGRESS)
    with phases.phase("down"):
        target.cluster(phases.tell).delete()
    return Verdict.PASS


@cli.command()
@target_options
@click.option("-e", "--extra", "extras", multiple=True, metavar="NAME=VALUE", help="A playbook variable; repeatable.")
def deploy(target: Target, extras: tuple[str, ...]) -> Verdict:
    """Provision the platform with playbooks/site.yml; a second run changes nothing."""
    from assay.deploy import deploy as provision  # noqa: PLC0415  # see above
    from assay.deploy import known  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above

    phases = Phases(PROGRESS)
    with phases.phase("deploy"):
        cluster = target.made(phases.tell)
        variables = {**known(cluster), **_variables(extras)}
        result = provision(cluster.kubeconfig, cluster.context, variables, phases.tell)
    OUT.print(f"{result.changed} tasks changed something.", highlight=False)
    _tell_certificates(cluster, _variables(extras))
    return Verdict.PASS


@cli.command()
@target_options
@click.option(
    "-e", "--extra", "extras", multiple=True, metavar="NAME=VALUE", help="As of `deploy`, and as given there."
)
def rotate(target: Target, extras: tuple[str, ...]) -> Verdict:
    """Give a platform made with platform_kafka_security=mtls new certificates, under load and without a lost message.

    The last step shuts out whoever still shows an old certificate: -e platform_certificates_drop=false leaves that to
    the next time.
    """
    from assay.deploy import rotate as renew  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above

    phases = Phases(PROGRESS)
    variables = {"platform_kafka_security": "mtls", **_variables(extras)}
    with phases.phase("rotate"):
        cluster = target.made(phases.tell)
        renew(cluster.kubeconfig, cluster.context, variables, phases.tell)
    _tell_certificates(cluster, variables)
    return Verdict.PASS


@cli.command()
@target_options
def teardown(target: Target) -> Verdict:
    """Remove the platform, and only what is ours, from a cluster that stays."""
    from assay import credentials  # noqa: PLC0415  # see above
    from assay.deploy import teardown as remove  # noqa: PLC0415  # see above
    from assay.platform import NAMESPACE  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above

    phases = Phases(PROGRESS)
    with phases.phase("teardown"):
        cluster = target.made(phases.tell)
        remove(cluster.kubeconfig, cluster.context, on_event=phases.tell)
        credentials.forget(cluster.kubeconfig, NAMESPACE)
    return Verdict.PASS


@cli.command()
@target_options
def preflight(target: Target) -> Verdict:
    """Try names, paths, policies and resources from the workloads' own pods; nothing is changed.

    Also says which objectives of recovery the live settings can't keep, and which settings to change to what.
    """
    from assay import stages  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above
    from assay.recovery import feasibility  # noqa: PLC0415  # see above
    from assay.recovery.table import show  # noqa: PLC0415  # see above

    platform = target.platform()
    phases = Phases(PROGRESS)
    with phases.phase("preflight"):
        checks = stages.check_platform(platform, Objectives().replicas, phases)
        _, judged = stages.check_recovery(platform, _plan(0, 0, 0), Objectives(), phases)
    table = Table()
    for heading in ("check", "verdict", "detail"):
        table.add_column(heading)
    for check in checks:
        table.add_row(check.name, check.verdict, check.detail)
    OUT.print(table)
    show(judged, OUT)
    return worst([*(Verdict(check.verdict) for check in checks), feasibility.verdict(judged)])


@cli.command()
@target_options
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the findings into this file.")
def posture(target: Target, json_file: Path | None) -> Verdict:
    """Try what must be refused, beside what must be allowed, and look at what is there; nothing lasting is made.

    Each probe says what was tried, what happened, and which standard asks for it.
    """
    from assay.posture import report as told  # noqa: PLC0415  # see above
    from assay.posture.survey import survey  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above

    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise UsageError(f"--json {json_file}: there is no folder {json_file.absolute().parent}; make it first.")
    scene = target.scene()
    phases = Phases(PROGRESS)
    with phases.phase("posture"):
        findings = survey(scene, phases.tell)
    if json_file is not None:
        json_file.write_text(told.text(findings))
    return told.show(findings, OUT)


@cli.command()
@target_options
@click.option("--folder", type=click.Path(path_type=Path), help="The run's folder. [default: runs/<run id>]")
def etl(target: Target, folder: Path | None) -> Verdict:
    """Run the ETL once, now, and say where every row went."""
    from assay import run as runs  # noqa: PLC0415  # see above
    from assay import stages  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above

    platform = target.platform()
    phases = Phases(PROGRESS)
    run = runs.begin(runs.claim(folder or runs.default()), _plan(0, 0, 0), Objectives(), target.facts())
    with phases.phase("etl"):
        stages.run_etl(platform, run, phases)
    outcome = run.manifest.etl
    OUT.print_json(outcome.model_dump_json() if outcome else "{}")
    return Verdict.PASS if outcome and not outcome.unaccounted and not outcome.exit_code else Verdict.FAIL


@cli.command()
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
    from assay import run as runs  # noqa: PLC0415  # see above
    from assay import stages  # noqa: PLC0415  # see above
    from assay.kafka import overrides  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above
    from assay.recording import recording  # noqa: PLC0415  # see above

    changes: dict[str, Any] = {"producer_settings": overrides.parse(producer_settings)}
    platform = target.platform()
    if topic is not None:
        changes |= stages.elsewhere(platform, topic)
    plan = _plan(messages, rate, seed, **changes)
    phases = Phases(PROGRESS)
    run = runs.begin(runs.claim(folder or runs.default()), plan, Objectives(), target.facts())
    with phases.phase("load"), recording(platform, run, "load"):
        stages.load(platform, run, phases)
    run.phases(phases.seconds)
    OUT.print(str(run.folder), highlight=False, soft_wrap=True)
    return Verdict.PASS


@cli.command()
@target_options
@click.argument("folder", type=click.Path(path_type=Path))
def drain(target: Target, folder: Path) -> Verdict:
    """Wait until the consumers have all of a run, and read Kafka's log and the sink back into FOLDER."""
    from assay import run as runs  # noqa: PLC0415  # see above
    from assay import stages  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above
    from assay.recording import recording  # noqa: PLC0415  # see above

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


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say who does the judge's work."""
    processes = click.option("--processes", type=click.IntRange(1), help="Default: one a processor.")
    dask = click.option("--dask", metavar="ADDRESS", help="A Dask scheduler instead, such as tcp://10.0.0.5:8786.")
    return processes(dask(command))


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@engine_options
def judge(folder: Path, processes: int | None, dask: str | None) -> Verdict:
    """Compute the verdict of a run's evidence, offline; writes verdict.json into FOLDER."""
    from assay import report as reports  # noqa: PLC0415  # see above
    from assay.engine import engine  # noqa: PLC0415  # see above

    with engine(processes, dask) as workers:
        judgement, _ = reports.judged(folder, workers)
    reports.summary(judgement, OUT)
    return judgement.verdict


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@engine_options
def report(folder: Path, processes: int | None, dask: str | None) -> Verdict:
    """Judge a run's evidence and write verdict.json, report.html and junit.xml into FOLDER."""
    from assay import report as reports  # noqa: PLC0415  # see above
    from assay.engine import engine  # noqa: PLC0415  # see above

    with engine(processes, dask) as workers:
        judgement, written = reports.judged(folder, workers)
    for path in [*written, *reports.write(folder, judgement)]:
        OUT.print(str(path), highlight=False, soft_wrap=True)
    return judgement.verdict


@cli.command()
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
    from assay.engine import engine  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above
    from assay.selftest import report as told  # noqa: PLC0415  # see above
    from assay.selftest import trial  # noqa: PLC0415  # see above

    trial.check_source(folder)
    phases = Phases(PROGRESS)
    with engine(processes, dask) as workers:
        with phases.phase("mutations"):
            results = trial.trials(folder, workers, phases.advance, pairs=pairs)
        with phases.phase("histories"):
            alarms = trial.acquittals(histories, seed, workers, phases.advance)
    return told.tell(results, histories, alarms, OUT)


@cli.command()
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
    from assay import experiment as experiments  # noqa: PLC0415  # see above
    from assay import run as recorded  # noqa: PLC0415  # see above
    from assay.campaign import running, terminal  # noqa: PLC0415  # see above
    from assay.progress import Phases  # noqa: PLC0415  # see above

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


@cli.command()
@target_options
@load_options
@click.option("--keep", is_flag=True, help="Leave the cluster up afterwards.")
@click.option("--faults/--no-faults", default=True, show_default=True, help="Also break a pod, a broker, the network.")
def validate(
    target: Target, *, messages: int, rate: float, seed: int, folder: Path | None, keep: bool, faults: bool
) -> Verdict:
    """From nothing to a verdict: up, deploy, pre-flight, one ETL run, load, drain, three faults, judge, report.

    A cluster that this command made is taken down at the end, unless --keep.
    """
    from assay.validation import EXPERIMENTS  # noqa: PLC0415  # see above
    from assay.validation import validate as validated  # noqa: PLC0415  # see above

    plan, experiments = _plan(messages, rate, seed), EXPERIMENTS if faults else ()
    return validated(target, plan, folder, keep=keep, console=PROGRESS, out=OUT, experiments=experiments)


def _plan(messages: int, rate: float, seed: int, **changes: Any) -> Plan:
    """What is sent: to the platform's own topic, as safely as can be, except for `changes`."""
    from assay.platform import GROUP, PARTITIONS, TOPIC  # noqa: PLC0415  # see above

    usual = {"topic": TOPIC, "group": GROUP, "partitions": PARTITIONS}
    return Plan(**{"messages": messages, "rate_per_second": rate, "seed": seed, **usual, **changes})


def _tell_certificates(cluster: Cluster, variables: Mapping[str, str]) -> None:
    """Write the files that Kafka's clients outside the cluster need, and say how to name them to other tools."""
    from assay import credentials  # noqa: PLC0415  # see above
    from assay.platform import NAMESPACE, Platform  # noqa: PLC0415  # see above

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


def main() -> None:
    """Run the command; every ending is an exit code."""
    try:
        result = cli.main(standalone_mode=False)
        code = result.exit_code if isinstance(result, Verdict) else int(result or 0)
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except AssayError as error:
        _say(error)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        PROGRESS.print("Stopped.")
        code = 130
    except Exception:  # noqa: BLE001  # a crash has an exit code of its own
        PROGRESS.print_exception()
        code = EXIT_CRASH
    sys.exit(code)


def _say(error: AssayError) -> None:
    PROGRESS.print(f"assay: {error}", style="red", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
