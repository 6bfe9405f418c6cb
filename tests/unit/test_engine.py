"""Who does the judge's work does not change what it says."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from runs import Run, write_run

from assay import engine, judge
from assay.errors import UsageError
from assay.report.verdict_file import document
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assay.judge import Judgement


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence of a run with a loss, a duplicate, a repeat in the sink and a wrong acknowledgement."""
    run = Run(messages=60)
    run.lose("load-0", 9)
    run.append(run.at("load-1", 4), partition=1)
    run.sink.append(dict(run.sink[7]))
    run.outcomes["load-1"][20]["offset"] += 5
    return run.write(tmp_path_factory.mktemp("bad"))


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small Dask cluster, as processes of this machine: a scheduler and two workers."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    quiet = ("--no-dashboard", "--scheduler-file", str(file))
    commands = [("dask_scheduler", "--host", "127.0.0.1", "--port", "0", *quiet)]
    commands += [("dask_worker", "--nthreads", "1", "--local-directory", str(folder / name), *quiet) for name in "ab"]
    cluster = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{program}", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for program, *words in commands
    ]
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, "the scheduler did not start"
        time.sleep(0.1)
    yield json.loads(file.read_text())["address"]
    for process in reversed(cluster):
        process.terminate()
        process.wait()


def said(judgement: Judgement) -> dict[str, object]:
    """Everything that a machine is told."""
    return document(judgement)


@pytest.mark.parametrize("rows", [1, 7, 20])
def test_the_cut_does_not_matter(rows: int) -> None:
    """A run in pieces of a few messages is judged like one in one piece: verdicts, figures and totals."""
    run = Run(messages=60)
    run.lose("load-0", 9)
    run.append(run.at("load-1", 4), partition=1)
    run.sink.append(dict(run.sink[7]))
    first, second = run.at("load-0", 12), run.at("load-0", 15)
    first["offset"], second["offset"] = second["offset"], first["offset"]
    run.log[30]["leader_epoch"] = 3
    whole, cut = run.judged(), run.judged(shard_rows=rows)
    assert {found.check: (found.verdict, found.total) for found in cut.findings} == {
        found.check: (found.verdict, found.total) for found in whole.findings
    }
    assert [found.measured for found in cut.findings] == [found.measured for found in whole.findings]
    assert whole.verdict is Verdict.FAIL


def test_processes_say_the_same(bad: Path) -> None:
    """Two processes, each with some of the pieces: the verdict is the same to the byte."""
    inline = said(judge.judge(bad, shard_rows=5))
    with engine.local(2) as workers:
        assert said(judge.judge(bad, workers, shard_rows=5)) == inline


def test_a_dask_cluster_says_the_same(scheduler: str, bad: Path, tmp_path: Path) -> None:
    """A scheduler and two workers judge runs in pieces, a good one and a bad one: all that is said is the same."""
    good = write_run(tmp_path / "good", 20_000, producers=2)
    for folder, rows, verdict in ((good, 8_000, Verdict.PASS), (bad, 20, Verdict.FAIL)):
        alone = judge.judge(folder, shard_rows=rows)
        with engine.dask(scheduler) as cluster:
            together = judge.judge(folder, cluster, shard_rows=rows)
        assert alone.verdict is verdict, alone.sentence
        assert said(together) == said(alone)


def test_no_dask_cluster(tmp_path: Path) -> None:
    """Nobody listens: one sentence, and nothing is judged."""
    with pytest.raises(UsageError, match="No Dask scheduler answers"), engine.dask("tcp://127.0.0.1:9", wait="1s"):
        judge.judge(tmp_path)
