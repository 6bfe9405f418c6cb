"""Stages that ask the cluster for little: posture, and the search for secrets in the evidence."""

from __future__ import annotations

import base64
import json
from io import StringIO
from typing import TYPE_CHECKING, Any

import answering
import pytest
import runs
from answering import Refusing
from rich.console import Console

from assay import run, stages
from assay.errors import AssayError
from assay.leaks import PROBE
from assay.posture import document
from assay.posture.probe import FAMILIES, Result
from assay.posture.scene import Scene
from assay.progress import Phases

if TYPE_CHECKING:
    from pathlib import Path

    from assay.posture.probe import Finding

VALUE = "token-7f3a9c"


class Keeping(Refusing):
    """An API server that gives away its Secrets."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """One Secret."""
        if path.endswith("/production/secrets"):
            data = {"feed-token": base64.b64encode(VALUE.encode()).decode()}
            return 200, {"items": [{"metadata": {"name": "credentials"}, "type": "Opaque", "data": data}]}
        return super().answer(method, path, body)


def recorded(folder: Path) -> run.Run:
    """A run whose posture was tried, with nothing found."""
    written = run.resume(runs.Run().write(folder))
    document.write(folder, ())
    return written


def searched(folder: Path, handler: type[Refusing]) -> Finding:
    """What is said of the evidence in the folder."""
    kubeconfig = folder.parent / "where"
    kubeconfig.mkdir()
    with answering.platform(kubeconfig, handler) as platform:
        stages.search_evidence(platform, run.resume(folder), quiet())
    (found,) = document.read(folder)
    assert found.probe.name == PROBE.name
    return found


def quiet() -> Phases:
    """Progress that nobody sees."""
    return Phases(Console(file=StringIO()))


def test_clean_evidence_is_said_to_be(tmp_path: Path) -> None:
    """With the number of its files."""
    folder = recorded(tmp_path / "run").folder
    files = sum(one.is_file() for one in folder.rglob("*"))
    found = searched(folder, Keeping)
    assert (found.result, found.happened) == (Result.KEPT, f"{files} files without a Secret's value")


@pytest.mark.parametrize(
    "name", ["settings.json", "manifest.json", "posture.json", "experiments/pod-crash/report.html"]
)
def test_a_secret_in_the_evidence_fails(tmp_path: Path, name: str) -> None:
    """Wherever it is, the document of posture included; the file is named, and the value nowhere."""
    folder = recorded(tmp_path / "run").folder
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name == "posture.json":
        told = json.dumps({"findings": [{"probe": "a/b", "result": "kept", "tried": "", "happened": VALUE}]})
    else:
        told = path.read_text().replace("run-1", VALUE) if path.exists() else VALUE
    path.write_text(told)
    kubeconfig = tmp_path / "where"
    kubeconfig.mkdir()
    with answering.platform(kubeconfig, Keeping) as platform:
        stages.search_evidence(platform, run.resume(folder), quiet())
    found = document.read(folder)[-1]
    assert (found.result, found.offenders) == (Result.BROKEN, (f"a Secret's value is in {name}",))
    assert VALUE not in json.dumps(found.plain())


def test_secrets_that_can_not_be_read_leave_it_unknown(tmp_path: Path) -> None:
    """With the reason."""
    found = searched(recorded(tmp_path / "run").folder, Refusing)
    assert found.result is Result.UNVERIFIABLE
    assert "Secrets can't be read: forbidden" in found.happened


def test_without_posture_there_is_nothing_to_add_it_to(tmp_path: Path) -> None:
    """It belongs to what posture says."""
    written = run.resume(runs.Run().write(tmp_path / "run"))
    with answering.platform(tmp_path, Keeping) as platform, pytest.raises(AssayError, match="no document of posture"):
        stages.search_evidence(platform, written, quiet())


def test_every_family_of_posture_is_recorded(tmp_path: Path) -> None:
    """Also where nothing could be tried."""
    written = recorded(tmp_path / "run")
    with answering.platform(tmp_path, Refusing) as platform:
        stages.try_posture(Scene(platform), written, quiet())
    found = document.read(written.folder)
    assert tuple(dict.fromkeys(one.probe.family for one in found)) == FAMILIES
    assert {one.result for one in found} == {Result.UNVERIFIABLE}
