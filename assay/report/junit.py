"""`junit.xml` for CI: one test case a check.

A check that failed is a `failure`. A check that is unknown is an `error`: it could not be made, which CI systems show
as red, as they must; `skipped` would be shown as green.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

from assay.report.verdict_file import write_text
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from assay.judge import Judgement

JUNIT: Final = "junit.xml"
#: What XML 1.0 can't hold, even escaped.
_IMPOSSIBLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ELEMENTS: Final = {Verdict.FAIL: "failure", Verdict.UNKNOWN: "error"}


def write_junit(folder: Path, judgement: Judgement) -> Path:
    """Write the judgement as a JUnit file; returns its path.

    Raises:
        UsageError: It can't be written.
    """
    return write_text(folder, JUNIT, junit(judgement))


def junit(judgement: Judgement) -> str:
    """The judgement as JUnit's XML, in the form that Jenkins, GitLab and GitHub's reporters read."""
    verdicts = [found.verdict for found in judgement.findings]
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count(Verdict.FAIL)),
        "errors": str(verdicts.count(Verdict.UNKNOWN)),
        "skipped": "0",
        "time": "0",
    }
    root = ET.Element("testsuites", {"name": "assay", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": "assay", **counts})
    if judgement.manifest:
        suite.set("timestamp", judgement.manifest.created_at.replace("+00:00", "").removesuffix("Z"))
        properties = ET.SubElement(suite, "properties")
        said = {"run_id": judgement.manifest.run_id, "verdict": judgement.verdict.value}
        if judgement.limits:
            said["limits"] = " ".join(judgement.limits)
        for name, value in said.items():
            ET.SubElement(properties, "property", {"name": name, "value": _possible(value)})
    for found in judgement.findings:
        _case(suite, found)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, found: Finding) -> None:
    case = ET.SubElement(suite, "testcase", {"classname": "assay", "name": _possible(found.check), "time": "0"})
    element = _ELEMENTS.get(found.verdict)
    if element:
        outcome = ET.SubElement(case, element, {"message": _possible(found.summary), "type": found.verdict.value})
        outcome.text = _possible(
            "\n".join(", ".join(f"{name}={value}" for name, value in example.items()) for example in found.examples)
        )
    figures = "\n".join(f"{name}={value}" for name, value in found.measured.items())
    ET.SubElement(case, "system-out").text = _possible(f"{found.summary}\n{figures}")


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("\ufffd", text)
