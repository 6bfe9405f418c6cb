"""What the probes of posture come to in a verdict, from the evidence alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from runs import Run

from assay import judge, leaks
from assay.checks.posture import CONTROL_PLANE, SEARCH
from assay.posture import document
from assay.posture.probe import FAMILIES, Finding, Probe, Result, unverifiable
from assay.posture.survey import FAMILIES as MODULES
from assay.report import judged, write
from assay.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from assay.judge import Judgement

PARTS = ["preflight", "etl", "posture"]


def probe(name: str) -> Probe:
    """One of these."""
    return Probe(name, "try <it>", ("a standard",), "Forbid it.")


def kept() -> dict[str, Finding]:
    """A probe of each family that passed, and those of the control plane."""
    names = [*(f"{family}/one" for family in FAMILIES), *CONTROL_PLANE, SEARCH]
    return {name: Finding(probe(name), Result.REFUSED, "refused", "the control was allowed") for name in names}


def recorded(folder: Path, tried: dict[str, Finding] | None, kind: str = "embedded", **manifest: Any) -> Path:
    """The evidence of a run that asks for posture, with what became of the probes; None: there is nothing of them."""
    run = Run()
    run.manifest["plan"]["parts"] = PARTS
    run.manifest["cluster"] = {"kind": kind}
    run.manifest |= manifest
    folder.mkdir(parents=True, exist_ok=True)
    if tried is not None:
        document.write(folder, list(tried.values()))
    return run.write(folder)


def complaints(judgement: Judgement) -> dict[str, str]:
    """What does not pass."""
    return {one.check: one.verdict.value for one in judgement.findings if one.verdict is not Verdict.PASS}


def said(judgement: Judgement, check: str) -> str:
    """The sentence of a finding."""
    return next(one.summary for one in judgement.findings if one.check == check)


def test_the_families_are_those_that_are_tried() -> None:
    """The judge knows them by name, and the probes of each begin with it."""
    assert tuple(MODULES) == FAMILIES
    assert [one.name for name, module in MODULES.items() for one in module.PROBES if one.family != name] == []
    known = {one.name for module in MODULES.values() for one in module.PROBES}
    assert known >= CONTROL_PLANE
    assert leaks.PROBE.name == SEARCH


def test_a_posture_that_holds_passes(tmp_path: Path) -> None:
    """One finding a family, and the verdict is a pass."""
    judgement = judge.judge(recorded(tmp_path, kept()))
    assert complaints(judgement) == {}
    checks = [one.check for one in judgement.findings]
    assert [name for name in checks if name.startswith("posture")] == [f"posture: {name}" for name in FAMILIES]
    assert judgement.limits == ()


@pytest.mark.parametrize("family", FAMILIES)
def test_one_probe_that_fails_fails_the_verdict(tmp_path: Path, family: str) -> None:
    """By its family alone, with what happened and what to do."""
    name = f"{family}/one"
    tried = kept() | {name: Finding(probe(name), Result.ALLOWED, "allowed: etl", remedy="Forbid it.")}
    judgement = judge.judge(recorded(tmp_path, tried))
    assert complaints(judgement) == {f"posture: {family}": "fail"}
    assert judgement.exit_code == 1
    (example,) = next(one.examples for one in judgement.findings if one.check == f"posture: {family}")
    assert example == {"probe": name, "result": "allowed", "happened": "allowed: etl", "remedy": "Forbid it."}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", ["embedded", "existing"])
def test_one_probe_that_could_not_be_shown_makes_it_unknown(tmp_path: Path, family: str, kind: str) -> None:
    """On every kind of cluster, where that kind could have shown it."""
    name = f"{family}/one"
    judgement = judge.judge(recorded(tmp_path, kept() | {name: unverifiable(probe(name), "nobody answered")}, kind))
    assert complaints(judgement) == {f"posture: {family}": "unknown"}
    assert "nobody answered" in said(judgement, f"posture: {family}")
    assert judgement.exit_code == 2


def test_what_a_kind_of_cluster_can_not_show_is_said_and_not_counted(tmp_path: Path) -> None:
    """Etcd and the audit log of a cluster that is not ours: no part of the verdict, and in its sentence."""
    tried = kept() | {name: unverifiable(probe(name), "it can't be read from here") for name in CONTROL_PLANE}
    del tried["audit/one"]  # then nothing of the family is left
    judgement = judge.judge(recorded(tmp_path, tried, "existing"))
    assert complaints(judgement) == {}
    assert "posture: audit" not in {one.check for one in judgement.findings}
    assert all(name in judgement.sentence for name in CONTROL_PLANE)
    assert "can't be seen from outside" in judgement.sentence


@pytest.mark.parametrize("kind", ["embedded", "", "something new"])
def test_it_is_counted_where_it_could_have_been_shown(tmp_path: Path, kind: str) -> None:
    """On the embedded cluster, and on one of which nobody knows what it can show."""
    tried = kept() | {name: unverifiable(probe(name), "it can't be read from here") for name in CONTROL_PLANE}
    judgement = judge.judge(recorded(tmp_path, tried, kind))
    assert complaints(judgement) == {"posture: secrets": "unknown", "posture: audit": "unknown"}


@pytest.mark.parametrize("name", sorted(CONTROL_PLANE))
def test_a_control_plane_that_was_seen_to_fail_fails(tmp_path: Path, name: str) -> None:
    """Wherever that is."""
    tried = kept() | {name: Finding(probe(name), Result.BROKEN, "it is not")}
    judgement = judge.judge(recorded(tmp_path, tried, "existing"))
    assert complaints(judgement) == {f"posture: {name.partition('/')[0]}": "fail"}


def test_a_family_that_was_not_tried_is_unknown(tmp_path: Path) -> None:
    """What never happened proves nothing."""
    tried = kept()
    del tried["network/one"]
    judgement = judge.judge(recorded(tmp_path, tried))
    assert complaints(judgement) == {"posture: network": "unknown"}


def test_evidence_that_was_not_searched_is_unknown(tmp_path: Path) -> None:
    """Nobody knows whether it holds a secret."""
    tried = kept()
    del tried[SEARCH]
    assert complaints(judge.judge(recorded(tmp_path, tried))) == {"posture: evidence": "unknown"}


def test_a_posture_that_is_missing_is_unknown(tmp_path: Path) -> None:
    """Asked for and never recorded; with the reason, if the run stopped before."""
    assert complaints(judge.judge(recorded(tmp_path / "one", None))) == {"posture": "unknown"}
    stopped = judge.judge(recorded(tmp_path / "two", None, stopped="The pre-flight failed."))
    assert "the run stopped early (The pre-flight failed)" in said(stopped, "posture")


def test_a_posture_that_nobody_asked_for_is_no_part_of_the_verdict(tmp_path: Path) -> None:
    """As of an experiment, and of evidence from before."""
    judgement = judge.judge(Run().write(tmp_path))
    assert complaints(judgement) == {}
    assert not [one.check for one in judgement.findings if one.check.startswith("posture")]
    assert judgement.sentence.endswith("every objective was met.")


def test_what_was_left_out_is_said_with_the_verdict(tmp_path: Path) -> None:
    """In its sentence, wherever that stands: the terminal, the page, verdict.json, JUnit."""
    run = Run()
    run.manifest["plan"] |= {"parts": PARTS[:2], "left_out": ["posture", "faults"]}
    folder = run.write(tmp_path)
    judgement, _ = judged(folder)
    write(folder, judgement)
    assert judgement.exit_code == 0
    for name in ("verdict.json", "report.html", "junit.xml"):
        assert "Left out on request: posture, faults." in (folder / name).read_text()


@pytest.mark.parametrize("place", [0.0, 0.5, 0.99])
def test_a_changed_byte_is_noticed(tmp_path: Path, place: float) -> None:
    """Wherever it is: the file is named, nothing is concluded from it, and the verdict is unknown."""
    folder = recorded(tmp_path, kept())
    content = bytearray((folder / document.FILE).read_bytes())
    content[int(len(content) * place)] ^= 0x01
    (folder / document.FILE).write_bytes(content)
    judgement = judge.judge(folder)
    assert complaints(judgement) == {"evidence": "unknown", "posture": "unknown"}
    assert document.FILE in said(judgement, "evidence")


def test_a_fail_can_not_be_turned_into_a_pass(tmp_path: Path) -> None:
    """Neither in the file, nor by leaving posture out afterwards: both are under the seal."""
    tried = kept() | {"pods/one": Finding(probe("pods/one"), Result.ALLOWED, "allowed")}
    for number, (name, before, after) in enumerate(
        ((document.FILE, '"allowed"', '"refused"'), ("manifest.json", ',\n      "posture"', ""))
    ):
        folder = recorded(tmp_path / str(number), tried)
        text = (folder / name).read_text()
        assert before in text
        (folder / name).write_text(text.replace(before, after))
        assert judge.judge(folder).verdict is not Verdict.PASS


def test_what_is_no_document_is_unknown(tmp_path: Path) -> None:
    """Sealed like that, it can't be understood."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / document.FILE).write_text("{}")
    judgement = judge.judge(recorded(folder, None))
    assert complaints(judgement) == {"evidence": "unknown", "posture": "unknown"}


def test_the_verdict_is_the_same_again(tmp_path: Path) -> None:
    """To the byte, from the folder alone."""
    tried = kept() | {"pods/one": Finding(probe("pods/one"), Result.ALLOWED, "allowed", remedy="Forbid it.")}
    folder = recorded(tmp_path, tried)
    first = judged(folder)[1][0].read_bytes()
    assert judged(folder)[1][0].read_bytes() == first
    assert json.loads(first)["verdict"] == "fail"


def test_the_page_has_a_table_of_all_probes(tmp_path: Path) -> None:
    """What was tried, what happened, who asks for it, and the verdict; what comes from a cluster is text."""
    tried = kept() | {
        "pods/one": Finding(probe("pods/one"), Result.ALLOWED, "<b>allowed</b>", remedy="Forbid it."),
        "audit/found": unverifiable(probe("audit/found"), "there is no log"),
    }
    folder = recorded(tmp_path, tried, "existing")
    write(folder, judged(folder)[0])
    text = (folder / "report.html").read_text()
    table = text.partition("<h2>Posture</h2>")[2].partition("</table>")[0]
    assert table.count("<tr class=") == len(tried)
    assert table.index("pods/one") < table.index("network/one")
    for words in ("try &lt;it&gt;", "&lt;b&gt;allowed&lt;/b&gt;", "a standard", "Control: the control was allowed"):
        assert words in table
    assert table.count("not counted") == 1
    write(Run().write(tmp_path / "other"), judge.judge(tmp_path / "other"))
    assert "<h2>Posture</h2>" not in (tmp_path / "other" / "report.html").read_text()
