"""Run after run: where a campaign ends early, and what it keeps. The experiment itself is a made-up run's evidence."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, cast

import pytest
from rich.console import Console
from runs import Run, served

from assay import experiment
from assay.campaign import running
from assay.chaos.control import INTERRUPTED
from assay.errors import AssayError
from assay.experiment import Ended
from assay.kafka import election
from assay.kafka.admin import PartitionFacts
from assay.progress import Phases
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.kafka.admin import Admin
    from assay.platform import Platform


class _Somewhere:
    """A platform as far as a campaign's folder is about it."""

    context = "somewhere"


def quick() -> Run:
    """A run that passes, with a recovery of four seconds."""
    run = served(gap=(20, 24))
    run.manifest["objectives"] |= {"throughput_per_second": 5}
    return run


def lossy() -> Run:
    """The same, with an acknowledged message that is gone."""
    run = quick()
    run.lose("load-0", 7)
    return run


class Unjudged(Run):
    """A run that lacks a ledger."""

    def write(self, folder: Path) -> Path:
        """All of it but the samples of lag."""
        written = super().write(folder)
        (folder / "lag.parquet").unlink()
        return written


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """A campaign whose runs end as told, one after another."""

    def carried_out(runs: int, *ends: Callable[[], Run] | Ended) -> Any:
        left = list(ends)

        def run_once(_path: Path, _platform: Platform, folder: Path, _seed: int, _progress: Phases) -> Ended:
            end = left.pop(0)
            if isinstance(end, Ended):
                return end
            end().write(folder)
            return Ended("completed", folder, "")

        monkeypatch.setattr(experiment, "run_once", run_once)
        monkeypatch.setattr(running, "await_whole", lambda _platform: None)
        return running.run(
            experiment.find("pod-crash"),
            cast("Platform", _Somewhere()),
            tmp_path / "campaign",
            runs=runs,
            first_seed=1,
            phases=Phases(Console(file=StringIO())),
        )

    return carried_out


def test_every_run_is_made_judged_and_told(campaign: Callable[..., Any]) -> None:
    """Each has its verdict and report, and the page all of them."""
    record, series = campaign(2, quick, quick)
    assert series.verdict is Verdict.PASS
    assert [one.recovery_seconds for one in series.outcomes] == [pytest.approx(4.0, abs=0.2)] * 2
    assert (record.run(2) / "report.html").exists()
    assert "2 of 2 runs: 2 pass" in (record.folder / "campaign.html").read_text()


def test_it_ends_where_something_was_lost(campaign: Callable[..., Any]) -> None:
    """The third run is not made: the evidence of the second is to be looked at first."""
    record, series = campaign(3, quick, lossy, quick)
    assert series.verdict is Verdict.FAIL
    assert series.broken.name == "run-002"
    assert not record.run(3).exists()


def test_it_ends_after_two_in_a_row_that_could_not_be_judged(campaign: Callable[..., Any]) -> None:
    """One may be bad luck; a third after two would fare no better. Said, and asked again it tries once more."""
    record, series = campaign(9, quick, Unjudged, quick, Unjudged, Unjudged, quick)
    assert series.verdict is Verdict.UNKNOWN
    assert not record.run(6).exists()
    assert "Stopped at run-005, the second run in a row that could not be judged" in series.sentence
    _, series = campaign(7, quick, quick)
    assert len(series.outcomes) == 7


def test_it_goes_on_with_what_there_is(campaign: Callable[..., Any]) -> None:
    """Two runs, and one more another time; an evidence that was cut off stays aside."""
    campaign(2, quick, quick)
    cut_off = Run()
    cut_off.write(campaign(2)[0].run(3))
    record, series = campaign(3, quick)
    assert len(series.outcomes) == 3
    assert record.run(3).with_name("run-003-cut-off-1").exists()


def test_a_run_that_could_not_be_begun_ends_it(campaign: Callable[..., Any], tmp_path: Path) -> None:
    """With the reason: the next one would fare no better."""
    with pytest.raises(AssayError, match=r"was not begun .*: The namespace does not consent"):
        campaign(2, Ended("interrupted", tmp_path, "The namespace does not consent."))


def test_an_interruption_ends_it_and_says_how_to_go_on(campaign: Callable[..., Any], tmp_path: Path) -> None:
    """The run that was interrupted counts for nothing."""
    with pytest.raises(AssayError, match="Go on with --folder"):
        campaign(2, quick, Ended("interrupted", tmp_path, INTERRUPTED))
    record, series = campaign(2, quick)
    assert [one.name for one in series.outcomes] == ["run-001", "run-002"]
    assert record.folder.exists()


@dataclass
class Led:
    """Brokers that lead a topic's partitions, and what they were asked to change."""

    partitions_led: dict[int, PartitionFacts]
    bootstrap: str = "somewhere:9092"

    def partitions(self, _topic: str) -> dict[int, PartitionFacts]:
        """As told."""
        return self.partitions_led


def test_each_run_begins_with_every_broker_leading_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three partitions, the two that others lead are elected anew, also one that nobody leads; then none is."""
    elected: list[tuple[str, str, list[int]]] = []
    monkeypatch.setattr(election, "elect_preferred", lambda *asked: elected.append(asked))
    led = Led(
        {
            0: PartitionFacts(0, (0, 1, 2), (0, 1, 2)),
            1: PartitionFacts(0, (1, 2, 0), (0, 1, 2)),
            2: PartitionFacts(None, (2, 0, 1), (0, 1)),
        }
    )
    assert running.restore_leaders(cast("Admin", led)) == (
        "of commodity-prices, 1, 2 are not led by their preferred broker"
    )
    assert elected == [("somewhere:9092", "commodity-prices", [1, 2])]
    whole = Led({0: PartitionFacts(0, (0, 1, 2), (0, 1, 2))})
    assert running.restore_leaders(cast("Admin", whole)) is None
    assert len(elected) == 1
