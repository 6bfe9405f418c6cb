"""Many runs of one experiment: what they amount to, how sure one can be, and that a campaign can be gone on with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from assay.campaign.outcome import Outcome, outcome
from assay.campaign.page import page
from assay.campaign.quantile import quantile
from assay.campaign.record import Asked, Record
from assay.campaign.series import Series
from assay.errors import UsageError
from assay.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

ASKED = Asked(
    experiment="pod-crash.yaml", sha256="ab", first_seed=5, context="assay", created_at="2026-01-01T00:00:00+00:00"
)


def verdict(*findings: tuple[str, str], seconds: float | None = 6.0, word: str = "pass") -> dict[str, Any]:
    """A verdict's document, as far as it is looked at."""
    measured = {} if seconds is None else {"recovery_seconds": seconds, "objective_seconds": 30.0}
    return {
        "verdict": word,
        "sentence": "It is so.",
        "findings": [{"check": check, "verdict": found} for check, found in findings],
        "recoveries": [{"target": "pod/c-0", "measured": measured, "phases": {"detect": seconds or 0, "catch up": 0}}],
    }


def ended(number: int, seconds: float | None, word: str = "pass", *broken: str) -> Outcome:
    """A run that ended so."""
    found = tuple((check, "fail") for check in broken)
    return outcome(f"run-{number:03}", number, verdict(*found, seconds=seconds, word=word))


class TestQuantile:
    """Nearest rank, and an interval by order statistics."""

    def test_the_median_of_twenty(self) -> None:
        """The tenth value; the true one is between the sixth and the fifteenth in 95.9 % (tables of the sign test)."""
        found = quantile([float(n) for n in range(20, 0, -1)], 0.5)
        assert (found.value, found.low, found.high) == (10, 6, 15)

    def test_twenty_values_do_not_bound_the_95th_percentile_from_above(self) -> None:
        """All twenty are below it in 36 % of cases: the greatest value is no upper bound."""
        found = quantile([float(n) for n in range(1, 21)], 0.95)
        assert (found.value, found.high) == (19, None)
        assert found.low == 17

    def test_a_hundred_do(self) -> None:
        """With a hundred the interval is closed."""
        found = quantile([float(n) for n in range(1, 101)], 0.95)
        assert found.value == 95
        assert found.low is not None
        assert found.high is not None
        assert found.low < 95 < found.high <= 100

    def test_one_value_bounds_nothing(self) -> None:
        """It is the sample's quantile, and says nothing of the true one."""
        found = quantile([3.0], 0.5)
        assert (found.value, found.low, found.high) == (3, None, None)

    @pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.0)])
    def test_what_has_no_quantile(self, values: list[float], share: float) -> None:
        """No values, or a share that is none."""
        with pytest.raises(ValueError, match="quantile"):
            quantile(values, share)


class TestOutcome:
    """What one run's verdict says."""

    def test_slow_is_not_broken(self) -> None:
        """A run that missed its throughput or its recovery failed, and lost nothing."""
        slow = ended(1, 40, "fail", "throughput", "recovered")
        assert (slow.verdict, slow.broken, slow.recovery_seconds) == (Verdict.FAIL, (), 40)

    def test_a_loss_is(self) -> None:
        """Whatever failed for what became of messages is named."""
        assert ended(1, 6, "fail", "lost", "latency", "reordered").broken == ("lost", "reordered")

    def test_the_slowest_of_several_faults_counts(self) -> None:
        """A run may have more than one."""
        document = verdict()
        document["recoveries"] += verdict(seconds=9.0)["recoveries"]
        assert outcome("run-001", 1, document).recovery_seconds == 9


class TestSeries:
    """What the runs amount to."""

    def test_all_passed(self) -> None:
        """Pass, with the spread of recovery, and what no failure among three says of the next."""
        series = Series(3, (ended(1, 5), ended(2, 7), ended(3, 6)))
        spread = series.spread("recovery_seconds")
        assert spread is not None
        assert (series.verdict, spread.quantiles["p50"].value, spread.most) == (Verdict.PASS, 6, 7)
        assert "No run lost a message" in series.sentence

    def test_missing_runs_are_unknown(self) -> None:
        """Two of three passed: nothing is known of the third."""
        assert Series(3, (ended(1, 5), ended(2, 7))).verdict is Verdict.UNKNOWN

    def test_a_loss_is_what_matters(self) -> None:
        """One run lost a message: fail, and the sentence says which and what."""
        series = Series(20, (ended(1, 5), ended(2, 7, "fail", "lost")))
        assert series.verdict is Verdict.FAIL
        assert "run-002" in series.sentence
        assert "lost" in series.sentence

    def test_a_run_whose_recovery_is_unknown_is_no_figure(self) -> None:
        """It is counted as a run and left out of the spread, visibly."""
        series = Series(2, (ended(1, 5), ended(2, None, "unknown")))
        spread = series.spread("recovery_seconds")
        assert spread is not None
        assert (len(spread.values), series.verdict) == (1, Verdict.UNKNOWN)

    def test_phases_spread_too(self) -> None:
        """By their names."""
        spread = Series(1, (ended(1, 5),)).spread("detect")
        assert spread is not None
        assert spread.values == (5,)


class TestRecord:
    """A campaign's folder."""

    def made(self, record: Record, number: int, document: dict[str, Any]) -> None:
        """Let a run have ended."""
        record.run(number).mkdir()
        (record.run(number) / "verdict.json").write_text(json.dumps(document))

    def test_it_is_gone_on_with(self, tmp_path: Path) -> None:
        """Runs that have a verdict count, with the seeds they had; the others are yet to be made."""
        record = Record(tmp_path / "c", ASKED)
        self.made(record, 1, verdict())
        self.made(record, 3, verdict(word="unknown"))
        again = Record(tmp_path / "c", ASKED)
        series = again.series(4)
        assert [(one.name, one.seed) for one in series.outcomes] == [("run-001", 5), ("run-003", 7)]
        assert again.ended(2) is None

    def test_what_was_cut_off_is_put_aside(self, tmp_path: Path) -> None:
        """Its evidence stays, under another name, however often that happens."""
        record = Record(tmp_path / "c", ASKED)
        for word in ("first", "second"):
            record.run(1).mkdir()
            (record.run(1) / "manifest.json").write_text(word)
            record.make_way(1)
        found = sorted(path.parent.name for path in record.folder.glob("*/manifest.json"))
        assert found == ["run-001-cut-off-1", "run-001-cut-off-2"]

    @pytest.mark.parametrize("change", [{"sha256": "cd"}, {"first_seed": 6}, {"context": "other"}])
    def test_another_campaign_is_not_mixed_in(self, tmp_path: Path, change: dict[str, Any]) -> None:
        """Another experiment, other seeds, another cluster: refused in a sentence."""
        Record(tmp_path / "c", ASKED)
        with pytest.raises(UsageError, match="name another folder"):
            Record(tmp_path / "c", ASKED.model_copy(update=change))

    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        """Is left alone."""
        (tmp_path / "mine.txt").write_text("x")
        with pytest.raises(UsageError, match="no campaign"):
            Record(tmp_path, ASKED)

    def test_the_page_tells_every_run(self, tmp_path: Path) -> None:
        """With figures, plots and links; and the same text for the same verdicts."""
        record = Record(tmp_path / "c", ASKED)
        for number in range(1, 11):
            self.made(record, number, verdict(seconds=3.0 + number / 2))
        text = page(record, record.series(10))
        assert text == page(record, record.series(10))
        assert all(f'href="run-{number:03}/report.html"' in text for number in range(1, 11))
        assert text.count("<svg") == 2
        assert "8 s" in text or "8.00 s" in text
