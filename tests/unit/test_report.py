"""Specifications of the report: what people, machines and CI are told."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import StringIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from runs import Run, served, write_run

from assay import audit, report
from assay.errors import UsageError
from assay.judge import judge
from assay.report.page import page
from assay.report.templates import figure
from assay.report.touched import actors, notable

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path) -> None:
    """Judge a run's folder and write everything into it."""
    judgement, _ = report.judged(folder)
    report.write(folder, judgement)


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence and report of a clean run of 20,000 messages."""
    folder = write_run(tmp_path_factory.mktemp("passing"), 20_000)
    written(folder)
    return folder


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The evidence and report of a run with twelve losses, an unready replica and an evil name."""
    run = Run(messages=60)
    for seq in range(3, 15):
        run.lose("load-0", seq)
    run.manifest["replicas"][0] |= {"ready": False, "pod": "<script>alert(1)</script>\x07"}
    folder = run.write(tmp_path_factory.mktemp("failing"))
    written(folder)
    return folder


class Outline(HTMLParser):
    """What of a page needs the network or a script, and whether every picture is told in words."""

    def __init__(self, text: str) -> None:
        """Parse a page."""
        super().__init__()
        self.outside: list[str] = []
        self.scripts = 0
        self.pictures: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note one element."""
        given = dict(attributes)
        self.scripts += tag == "script"
        self.ids += [given["id"] or ""] if "id" in given else []
        self.outside += [value or "" for name, value in attributes if name in {"src", "href"}]
        if given.get("role") == "img":
            self.pictures.append(given.get("aria-label") or "")


def test_what_is_written(passing: Path, failing: Path) -> None:
    """Verdict, JUnit and page; a listing where there are more offenders than examples."""
    assert {"verdict.json", "junit.xml", "report.html"} <= {path.name for path in passing.iterdir()}
    assert not (passing / "findings").exists()
    with (failing / "findings" / "lost.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["seq"]) for row in rows] == list(range(3, 15))
    assert [path.name for path in (failing / "findings").iterdir()] == ["lost.csv"]


def test_the_report_is_no_evidence(passing: Path) -> None:
    """Judging a folder that has its report in it gives the same verdict."""
    assert judge(passing).exit_code == 0


def test_the_page_stands_alone(passing: Path) -> None:
    """No script, nothing fetched, every id unique, every picture told in words."""
    outline = Outline((passing / "report.html").read_text())
    assert outline.scripts == 0
    assert [link for link in outline.outside if not link.startswith("#")] == []
    assert len(outline.ids) == len(set(outline.ids))
    assert len(outline.pictures) == 7
    assert all(len(words) > 20 for words in outline.pictures)


def test_the_page_says_what_was_found(passing: Path, failing: Path) -> None:
    """Verdict, figures, rules; the limit of the claim stands with every verdict."""
    good, bad = (passing / "report.html").read_text(), (failing / "report.html").read_text()
    assert "Passed" in good
    assert "20,000" in good
    assert "Not drawn" not in good
    assert "1 check failed: lost." in bad
    assert "findings/lost.csv" in bad
    for text in (good, bad):
        assert "says nothing of power loss" in text


def test_the_page_is_the_same_for_the_same_evidence(passing: Path) -> None:
    """To the byte."""
    assert page(judge(passing)) == page(judge(passing))


def test_names_can_not_break_the_page(failing: Path) -> None:
    """What comes from a cluster is text, never markup."""
    text = (failing / "report.html").read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_a_page_without_a_manifest(tmp_path: Path) -> None:
    """There is still a report, which says why."""
    written(tmp_path)
    assert "no manifest.json" in (tmp_path / "report.html").read_text()


def test_a_plot_that_can_not_be_drawn_says_why(tmp_path: Path) -> None:
    """No attempt in the evidence: no throughput plot, and the reason in its place."""
    run = Run(messages=0)
    folder = run.write(tmp_path)
    written(folder)
    assert "Not drawn: no ledger of attempts could be read." in (folder / "report.html").read_text()


def test_junit(failing: Path) -> None:
    """One case a check; fail is a failure, unknown an error (red in CI), and it is valid XML in spite of a bell."""
    root = ET.parse(failing / "junit.xml").getroot()  # noqa: S314  # our own file
    suite = root.find("testsuite")
    assert suite is not None
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    verdict = json.loads((failing / "verdict.json").read_text())
    assert set(cases) == {found["check"] for found in verdict["findings"]}
    assert cases["lost"].find("failure") is not None
    assert cases["vacuous"].find("error") is not None
    assert cases["duplicate"].find("failure") is None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(len(cases)), "1", "1")


def test_verdict_json(failing: Path) -> None:
    """What a machine needs: version, run, verdict, exit code, findings with capped examples."""
    document = json.loads((failing / "verdict.json").read_text())
    assert document["schema_version"] == 2
    assert (document["run_id"], document["verdict"], document["exit_code"]) == ("run-1", "fail", 1)
    lost = next(found for found in document["findings"] if found["check"] == "lost")
    assert lost["total"] == 12
    assert len(lost["examples"]) == 10
    assert lost["listing"] == "findings/lost.csv"
    assert {place["producer"] for place in lost["places"]} == {"load-0"}
    assert sum(place["messages"] for place in lost["places"]) == 12
    assert "With acks=all" in lost["cause"]


def test_the_summary_in_the_terminal(failing: Path) -> None:
    """The worst first, and one closing sentence; signs, so that it can be read without colour."""
    console = Console(file=StringIO(), width=160)
    report.summary(judge(failing), console)
    assert isinstance(console.file, StringIO)
    lines = console.file.getvalue().splitlines()
    assert re.match(r"✗ fail +lost ", lines[0])
    assert "What usually causes it: With acks=all" in " ".join(" ".join(lines).split())
    assert any(re.match(r"\? unknown +vacuous ", line) for line in lines)
    assert lines[-1] == "✗ FAIL run-1: 1 check failed: lost."


def test_stale_listings_go(tmp_path: Path) -> None:
    """A listing of an earlier judgement does not outlive it."""
    folder = Run().write(tmp_path)
    (folder / "findings").mkdir()
    (folder / "findings" / "lost.csv").write_text("seq\n1\n")
    written(folder)
    assert not (folder / "findings").exists()


def test_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    """One sentence that says what to do."""
    folder = Run().write(tmp_path)
    (folder / "verdict.json.draft").mkdir()
    with pytest.raises(UsageError, match="copy the evidence"):
        written(folder)


@pytest.mark.parametrize(
    ("value", "text"),
    [(100_000, "100,000"), (9969.4, "9,969"), (17.84, "17.8"), (0.99912, "0.999"), (0.0, "0"), (3e-05, "3e-05")],
)
def test_figures(value: float, text: str) -> None:
    """Numbers as people read them."""
    assert figure(value) == text


def test_a_fault_and_the_recovery_from_it_are_drawn(tmp_path: Path) -> None:
    """Faults are shaded in the plots over time; recovery is a plot of its own, by phase, and stands in the verdict."""
    folder = served(gap=(20, 24)).write(tmp_path / "served")
    written(folder)
    (told,) = json.loads((folder / "verdict.json").read_text())["recoveries"]
    assert (told["fault"], told["target"], told["verdict"]) == ("broker", "pod/kafka-1", "pass")
    assert sum(told["phases"].values()) == pytest.approx(told["measured"]["recovery_seconds"])
    text = (folder / "report.html").read_text()
    assert "Recovery by phase" in text
    assert all(phase in text for phase in told["phases"])
    assert text.count(">broker</text>") >= 2  # the legends of the plots that shade it


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def touch(verb: str, resource: str, decision: str = "allow", **changes: str) -> audit.Touch:
    """Three requests of the administrator, of which one failed."""
    columns = {
        "user": "assay-admin",
        "impersonated": "",
        "source": "10.201.0.1",
        "group": "",
        "namespace": "production",
    }
    asked = {"verb": verb, "resource": resource, "decision": decision, "name": ""}
    return audit.Touch(**(columns | asked | changes), count=3, failed=1, first=NOON, last=NOON)


TOUCHED = (
    touch("list", "pods"),
    touch("get", "secrets", name="keys"),
    touch("get", "pods/exec", name="kafka-0"),
    touch("delete", "pods", name="<b>kafka-0</b>"),
    touch("list", "pods", user="etl", source="10.201.1.7"),
    touch("list", "secrets", "forbid", user="etl", source="10.201.1.7"),
)


def with_audit(folder: Path, **said: object) -> str:
    """The page of a clean run whose evidence says this of who touched what."""
    folder.mkdir()
    document = audit.Audit.model_validate({"since": NOON, "until": NOON, **said})
    (folder / audit.FILE).write_text(document.model_dump_json())
    written(Run().write(folder))
    return (folder / "report.html").read_text()


def test_who_touched_what_is_a_line_an_account() -> None:
    """Whoever changed most first; an exec is a change, a look at a Secret is told apart, a refused one is neither."""
    first, second = actors(TOUCHED)
    assert (first.user, first.reads, first.secrets, first.changes, first.refused) == ("assay-admin", 3, 3, 6, 0)
    assert (second.user, second.reads, second.secrets, second.changes, second.refused) == ("etl", 3, 0, 0, 3)
    assert [(one.verb, one.resource) for one in notable(TOUCHED)] == [
        ("list", "secrets"),
        ("get", "secrets"),
        ("get", "pods/exec"),
        ("delete", "pods"),
    ]


def test_the_page_says_who_touched_what(tmp_path: Path) -> None:
    """From the evidence, with what may be missing of it; names are text."""
    text = with_audit(tmp_path / "run", begins=NOON, unreadable=2, touched=TOUCHED)
    assert "18 requests from 12:00:00 to 12:00:00 UTC" in text
    assert "2 of its lines can&#39;t be read" in text
    assert "10.201.1.7" in text
    assert "&lt;b&gt;kafka-0&lt;/b&gt;" in text
    assert "<b>kafka-0" not in text


def test_a_run_without_an_audit_log_says_so(tmp_path: Path) -> None:
    """It is not known who touched what, which is no table without rows; evidence of earlier releases says nothing."""
    text = with_audit(tmp_path / "run", unavailable="The cluster gives none.")
    assert "Not known: The cluster gives none." in text
    assert "requests from" not in text
    written(Run().write(tmp_path / "earlier"))
    assert "Who touched what" not in (tmp_path / "earlier" / "report.html").read_text()


@pytest.mark.parametrize("changed", ["{}", None])
def test_a_changed_table_is_not_shown(tmp_path: Path, changed: str | None) -> None:
    """Like any other file of evidence that was changed after the run, it is named; nothing is told from it."""
    with_audit(tmp_path / "run", begins=NOON, touched=TOUCHED)
    path = tmp_path / "run" / audit.FILE
    path.write_text(path.read_text().replace("etl", "etc") if changed is None else changed)
    written(tmp_path / "run")
    text = (tmp_path / "run" / "report.html").read_text()
    assert "audit.json" in text
    assert "Who touched what" not in text
    assert judge(tmp_path / "run").exit_code == 2


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    """Sealed like that, it can't be understood."""
    (tmp_path / audit.FILE).write_text("{}")
    written(Run().write(tmp_path))
    assert "audit.json is no table of who touched what" in (tmp_path / "report.html").read_text()
