"""The judge's self-test: anomalies are called what they are, clean histories stay clean, and the test can fail."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import Run, write_run

from assay import judge
from assay.checks import CHECKS
from assay.checks.delivery import Lost
from assay.engine import Inline
from assay.errors import UsageError
from assay.selftest import trial
from assay.selftest.histories import Maker
from assay.selftest.mutations import MUTATIONS
from assay.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from assay.checks.shards import SendsShard
    from assay.checks.tally import Tally


def silent(_done: float, _total: float, _text: str) -> None:
    """Progress that nobody watches."""


@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=[mutation.name for mutation in MUTATIONS])
def test_each_anomaly_is_called_what_it_is(number: int) -> None:
    """At the first, a middle and the last place: the right checks with the right verdicts, and no others."""
    for place in range(trial.PLACES):
        result = trial.attempt(None, trial.Case((number,), (place,)))
        assert result.said == result.expected


def test_each_check_that_can_fail_is_on_trial() -> None:
    """No check but those of speed is left out: they have objectives, not anomalies."""
    tried = {check for mutation in MUTATIONS for check in mutation.complaints}
    assert set(CHECKS) - tried == {"unknown resolved", "throughput", "success", "etl throughput", "recovered"}


@pytest.mark.parametrize("pair", [(0, 3), (0, 2), (12, 13), (3, 16), (18, 21), (7, 26)])
def test_some_pairs(pair: tuple[int, int]) -> None:
    """Two anomalies in one run are both called out; a duplicate hides no loss. The command tries all pairs."""
    result = trial.attempt(None, trial.Case(pair, (0, trial.PLACES - 1)))
    assert result.said == result.expected


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 4), st.integers(1, 4))
def test_clean_histories_raise_no_alarm(seed: int, rounds: int, partitions: int, producers: int) -> None:
    """Elections, unknown and failed sends, repeats of the reader, dead letters, consumers that come and go."""
    assert Maker(seed, rounds * partitions * producers, partitions, producers).story().complaints() == {}


def test_a_real_run_can_be_tried_on(tmp_path: Path) -> None:
    """The copies are in memory: the run itself is left as it is."""
    folder = write_run(tmp_path / "run", 30_000)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    trial.check_source(folder)
    results = [trial.attempt(folder, trial.Case((number,), (1,))) for number in range(0, len(MUTATIONS), 5)]
    assert [result.name for result in results if not result.caught] == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_validation_can_be_tried_on(tmp_path: Path) -> None:
    """Its posture is in no ledger, and not on trial."""
    run = Run()
    run.manifest["plan"]["parts"] = ["preflight", "etl", "posture"]
    trial.check_source(run.write(tmp_path))


def test_a_run_that_did_not_pass_is_refused(tmp_path: Path) -> None:
    """Its own complaints would hide those that are seeded."""
    run = Run()
    run.lose("load-0", 2)
    with pytest.raises(UsageError, match=r"did not pass \(lost\)"):
        trial.check_source(run.write(tmp_path))


def test_a_blind_judge_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that sees no loss: the score says so."""

    class Blind(Lost):
        """Counts, and looks away."""

        def of_sends(self, shard: SendsShard) -> Tally:
            """Nothing is ever lost."""
            found = super().of_sends(shard)
            return type(found)(found.counts)

    monkeypatch.setattr(judge, "CHECKS", {**CHECKS, "lost": Blind()})
    results = trial.trials(None, Inline(), silent, pairs=False)
    assert {result.name for result in results if not result.caught} == {
        "acknowledged and gone",
        "acknowledged and overwritten",
    }


def test_the_command(tmp_path: Path) -> None:
    """A table of anomalies, the score, exit code 0; a folder that is no run is one sentence and 254."""
    words = [sys.executable, "-m", "assay.cli", "selftest", "--no-pairs", "--histories", "20", "--processes", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == Verdict.PASS.exit_code, done.stdout + done.stderr
    assert "Mutation score 100 %" in done.stdout
    assert "0 false alarms in 20 clean histories" in done.stdout
    refused = subprocess.run([*words, str(tmp_path)], capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 254
    assert "is not whole" in refused.stderr
    assert "Traceback" not in refused.stderr
