"""Specifications of the judge: a folder in, one verdict out, and never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from runs import Run, served

from assay import checks, judge, manifest, run
from assay.checks.delivery import Duplicate
from assay.errors import UsageError
from assay.report import judged
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.checks.shards import SendsShard
    from assay.checks.tally import Tally
    from assay.judge import Judgement


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The evidence of a clean run."""
    return Run().write(tmp_path / "run")


def complaints(judgement: Judgement) -> dict[str, Verdict]:
    """What does not pass."""
    return {found.check: found.verdict for found in judgement.findings if found.verdict is not Verdict.PASS}


def reason(judgement: Judgement) -> str:
    """What is said of the evidence."""
    return next(found.summary for found in judgement.findings if found.check == "evidence")


def problems(judgement: Judgement) -> dict[str, str]:
    """What is wrong with each file."""
    found = next(found for found in judgement.findings if found.check == "evidence")
    return {str(example["file"]): str(example["problem"]) for example in found.examples}


def test_a_clean_run_passes(folder: Path) -> None:
    """Every check that applies is made, all pass, exit code 0; without a fault there is no recovery to check."""
    judgement = judge.judge(folder)
    assert complaints(judgement) == {}
    assert judgement.exit_code == 0
    assert {found.check for found in judgement.findings} > set(checks.CHECKS) - {"recovered"}


def test_a_loss_fails(tmp_path: Path) -> None:
    """Exit code 1, and the sentence names the check."""
    story = Run()
    story.lose("load-0", 2)
    judgement = judge.judge(story.write(tmp_path))
    assert judgement.exit_code == 1
    assert judgement.sentence == "1 check failed: lost."


def test_the_verdict_is_the_same_to_the_byte(folder: Path) -> None:
    """Judged twice, by a process that has written the verdict into the folder meanwhile."""
    first = judged(folder)[1][0].read_bytes()
    second = judged(folder)[1][0].read_bytes()
    assert first == second
    assert json.loads(first)["verdict"] == "pass"


def test_a_crashing_check_is_unknown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It's named with its error, and the others are made."""

    class Broken(Duplicate):
        """Counts nothing."""

        def of_sends(self, shard: SendsShard) -> Tally:
            """It can't."""
            raise ZeroDivisionError(f"by zero at {shard.first}")

    monkeypatch.setattr(judge, "CHECKS", {**checks.CHECKS, "duplicate": Broken()})
    judgement = judge.judge(folder)
    assert complaints(judgement) == {"duplicate": Verdict.UNKNOWN}
    assert judgement.exit_code == 2
    found = next(found for found in judgement.findings if found.check == "duplicate")
    assert "crashed (ZeroDivisionError: by zero at 0)" in found.summary


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    """A usage error of one sentence."""
    with pytest.raises(UsageError, match="is not a folder"):
        judge.judge(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path: Path) -> None:
    """Unknown: there is nothing to judge."""
    judgement = judge.judge(tmp_path)
    assert judgement.verdict is Verdict.UNKNOWN
    assert "no manifest.json" in reason(judgement)


@pytest.mark.parametrize("keep", [0, 1, 40, 400])
def test_a_torn_manifest(folder: Path, keep: int) -> None:
    """Cut anywhere: unknown."""
    path = folder / "manifest.json"
    path.write_bytes(path.read_bytes()[:keep])
    assert judge.judge(folder).exit_code == 2


def test_another_schema_version(folder: Path) -> None:
    """Unknown, and it says which release to use."""
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"schema_version": 2', '"schema_version": 9'))
    judgement = judge.judge(folder)
    assert judgement.verdict is Verdict.UNKNOWN
    assert "schema version 9" in reason(judgement)


@pytest.mark.parametrize(
    "name", ["log.parquet", "sink.parquet", "attempts-load-0.parquet", "etl.parquet", "lag.parquet"]
)
def test_a_missing_ledger(folder: Path, name: str) -> None:
    """Unknown and named; nothing fails for it."""
    (folder / name).unlink()
    judgement = judge.judge(folder)
    assert judgement.verdict is Verdict.UNKNOWN
    assert f"{name} is missing" in reason(judgement)


@pytest.mark.parametrize("name", ["log.parquet", "sink.parquet", "attempts-load-0.parquet", "outcomes-load-1.parquet"])
@pytest.mark.parametrize("place", [0.0, 0.5, 0.99])
def test_a_changed_byte(folder: Path, name: str, place: float) -> None:
    """Wherever it is, it is noticed, the ledger is left out, and the verdict is unknown."""
    path = folder / name
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 0x40
    path.write_bytes(content)
    judgement = judge.judge(folder)
    assert judgement.verdict is Verdict.UNKNOWN
    assert name in reason(judgement)
    assert "changed after the run" in reason(judgement)


def test_a_truncated_ledger(folder: Path) -> None:
    """Unknown, by its size."""
    path = folder / "log.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    judgement = judge.judge(folder)
    assert judgement.verdict is Verdict.UNKNOWN
    assert "log.parquet" in reason(judgement)


def test_a_ledger_that_the_manifest_does_not_know(folder: Path) -> None:
    """Something was added after the run: unknown."""
    (folder / "log-2.parquet").write_bytes((folder / "log.parquet").read_bytes())
    judgement = judge.judge(folder)
    assert judgement.verdict is Verdict.UNKNOWN
    assert "not in the manifest" in reason(judgement)


def test_a_run_that_was_never_sealed(folder: Path) -> None:
    """Without hashes it can be judged but not vouched for: never a pass."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    document |= {"files": {}, "seal": ""}
    path.write_text(json.dumps(document))
    assert complaints(judge.judge(folder)) == {"evidence": Verdict.UNKNOWN}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"messages": 12', '"messages": 11'),
        ('"success_ratio": 0.999', '"success_ratio": 0.9'),
        ('"drained": true', '"drained": false'),
    ],
)
def test_a_changed_manifest(folder: Path, before: str, after: str) -> None:
    """The manifest is under its own seal: no objective and no fact can be changed afterwards."""
    path = folder / "manifest.json"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    judgement = judge.judge(folder)
    assert judgement.verdict is not Verdict.PASS
    assert "manifest.json is not what was sealed" in reason(judgement)


def test_a_manifest_that_points_outside(folder: Path) -> None:
    """No file beyond the folder is opened."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    document["files"]["../outside"] = {"bytes": 1, "sha256": "0" * 64}
    path.write_text(json.dumps(document))
    assert "lies outside the folder" in problems(judge.judge(folder))["../outside"]


def test_rubbish_in_place_of_a_ledger(tmp_path: Path) -> None:
    """A file that is no ledger at all, sealed as it is: unknown."""
    folder = Run().write(tmp_path)
    (folder / "log.parquet").write_bytes(b"not a ledger")
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    document["files"] = {}
    path.write_text(json.dumps(document))
    judgement = judge.judge(folder)
    assert judgement.verdict is Verdict.UNKNOWN
    assert any("not a readable ledger" in str(example) for found in judgement.findings for example in found.examples)


def seal(folder: Path) -> None:
    """Seal a folder that was changed before its seal: what is wrong then is in the facts, not in the keeping."""
    run.resume(folder).seal()


def test_two_ledgers_of_one_producer(folder: Path) -> None:
    """Two load generators with one name: nothing is concluded from either, and the name is said."""
    (folder / "attempts-again.parquet").write_bytes((folder / "attempts-load-0.parquet").read_bytes())
    seal(folder)
    judgement = judge.judge(folder)
    assert judgement.exit_code == 2
    lost = next(found for found in judgement.findings if found.check == "lost")
    assert "two ledgers of attempts are both of producer load-0" in lost.summary


@pytest.mark.parametrize("kind", ["attempts", "outcomes", "log", "sink", "events", "lag", "etl"])
def test_an_empty_ledger(tmp_path: Path, kind: str) -> None:
    """Not a row in it: never a pass, whatever the others say, and no check crashes."""
    story = Run()
    rows = getattr(story, kind)
    if isinstance(rows, dict):
        for mine in rows.values():
            mine.clear()
    else:
        setattr(story, kind, [])
    judgement = judge.judge(story.write(tmp_path))
    assert judgement.verdict is not Verdict.PASS
    assert not any("crashed" in found.summary for found in judgement.findings)


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    """Times that can't be: unknown, and it says that the clock is to blame."""
    story = Run()
    story.attempts["load-0"][3]["sent_ns"] = 10**15
    judgement = judge.judge(story.write(tmp_path))
    assert complaints(judgement) == {"clock": Verdict.UNKNOWN}
    assert "1 send before an earlier one" in next(one.summary for one in judgement.findings if one.check == "clock")


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (lambda folder: (folder / "log.parquet").unlink(), 2, "log.parquet is missing"),
        (lambda folder: (folder / "sink.parquet").write_bytes(b""), 2, "sink.parquet has 0 bytes"),
        (lambda folder: (folder / "manifest.json").unlink(), 2, "no manifest.json"),
        (shutil.rmtree, 254, "is not a folder"),
    ],
)
def test_the_command_never_shows_a_traceback(
    folder: Path, damage: Callable[[Path], None], code: int, words: str
) -> None:
    """Exit code 2 or 254, and the reason in words."""
    damage(folder)
    command = [sys.executable, "-m", "assay.cli", "judge", "--processes", "1", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code
    assert words in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr


def test_the_same_verdict_on_another_machine(folder: Path, tmp_path: Path) -> None:
    """The folder moved elsewhere, judged by a fresh process in another time zone and language: the same to the byte."""
    judged(folder)
    elsewhere = tmp_path / "elsewhere" / "run"
    shutil.copytree(folder, elsewhere)
    (elsewhere / "verdict.json").unlink()
    environment = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "PATH": "/usr/bin:/bin"}
    subprocess.run(
        [sys.executable, "-m", "assay.cli", "judge", str(elsewhere)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert (elsewhere / "verdict.json").read_bytes() == (folder / "verdict.json").read_bytes()


class TestExperiments:
    """Experiments that belong to a run are judged with it, each from its own evidence."""

    def whole(self, folder: Path, *, objective: float = 5) -> Path:
        """A clean run with one experiment, whose fault took four seconds to recover from."""
        part = served(gap=(20, 24), objective=objective)
        part.manifest["objectives"] |= {"throughput_per_second": 5}
        part.write(folder / "experiments" / "broker-failure")
        run = Run()
        run.manifest["experiments"] = {"broker-failure": manifest.read(folder / "experiments" / "broker-failure").seal}
        return run.write(folder)

    def found(self, folder: Path) -> tuple[str, str, str]:
        """The verdict, and that on the experiment with its words."""
        judgement = judge.judge(folder)
        (one,) = [found for found in judgement.findings if found.check == "experiment: broker-failure"]
        return judgement.verdict.value, one.verdict.value, one.summary

    def test_one_that_passed(self, tmp_path: Path) -> None:
        """The run passes, and says how service came back."""
        whole, one, words = self.found(self.whole(tmp_path / "run"))
        assert (whole, one) == ("pass", "pass")
        assert "full service was back 4.0" in words

    def test_one_that_was_too_slow(self, tmp_path: Path) -> None:
        """The run fails by it."""
        assert self.found(self.whole(tmp_path / "run", objective=2))[:2] == ("fail", "fail")

    def test_one_that_is_gone(self, tmp_path: Path) -> None:
        """Nobody knows."""
        folder = self.whole(tmp_path / "run")
        shutil.rmtree(folder / "experiments")
        whole, one, words = self.found(folder)
        assert (whole, one) == ("unknown", "unknown")
        assert "no evidence" in words

    def test_another_one_in_its_place(self, tmp_path: Path) -> None:
        """Whole evidence of another run is not this one's."""
        folder = self.whole(tmp_path / "run")
        shutil.rmtree(folder / "experiments" / "broker-failure")
        served(gap=(20, 21)).write(folder / "experiments" / "broker-failure")
        assert "not what was recorded with this run" in self.found(folder)[2]

    def test_a_changed_byte_of_it(self, tmp_path: Path) -> None:
        """Is noticed by the experiment's own hashes."""
        folder = self.whole(tmp_path / "run")
        path = folder / "experiments" / "broker-failure" / "log.parquet"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert self.found(folder)[:2] == ("unknown", "unknown")
