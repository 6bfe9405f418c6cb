"""`report.html`: one file that needs nothing else, neither network nor script, in the reader's light or dark theme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from assay import __version__
from assay.checks import rule
from assay.checks.posture import beyond
from assay.report.order import by_severity
from assay.report.plots import plots
from assay.report.templates import figure, templates
from assay.report.terminal import LIMIT, SIGNS
from assay.report.touched import actors, notable
from assay.report.verdict_file import listing_name, write_text
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assay.judge import Judgement
    from assay.report.drawing import Plot
    from assay.verdict import Finding

PAGE: Final = "report.html"
_TITLES: Final = {
    Verdict.PASS: "Passed",
    Verdict.FAIL: "Failed",
    Verdict.UNKNOWN: "Unknown",
}


@dataclass(frozen=True)
class Tile:
    """One key figure: what it is, its value with unit, a line below, and the verdict of the check behind it."""

    label: str
    value: str
    note: str
    verdict: Verdict


def write_page(folder: Path, judgement: Judgement) -> Path:
    """Write the report's page into a run's folder; returns its path.

    Raises:
        UsageError: It can't be written.
    """
    return write_text(folder, PAGE, page(judgement))


def page(judgement: Judgement) -> str:
    """The report as HTML, the same for the same evidence."""
    environment = templates()
    environment.filters["code"] = _code
    environment.filters["span"] = span
    environment.filters["clock"] = lambda time: f"{time:%H:%M:%S}"
    environment.filters["words"] = lambda name: name.replace("_", " ")
    manifest, history = judgement.manifest, judgement.history
    phases = dict(manifest.phases) if manifest else {}
    return environment.get_template("report/page.html.j2").render(
        judgement=judgement,
        manifest=manifest,
        passed=Verdict.PASS,
        title=_TITLES[judgement.verdict],
        signs={verdict: sign for verdict, (sign, _) in SIGNS.items()},
        findings=by_severity(judgement.findings),
        rule=rule,
        listing_name=listing_name,
        tiles=tiles({found.check: found for found in judgement.findings}),
        plots=_drawn(judgement),
        phases=phases,
        phases_total=sum(phases.values()),
        etl=manifest.etl if manifest else None,
        audit=judgement.audit,
        actors=actors(judgement.audit.touched) if judgement.audit else (),
        notable=notable(judgement.audit.touched) if judgement.audit else (),
        tables=_tables(judgement) if history else {},
        posture=by_severity(judgement.posture),
        beyond=beyond(manifest, judgement.posture) if manifest else (),
        limit=LIMIT,
        release=__version__,
    )


def tiles(findings: Mapping[str, Finding]) -> list[Tile]:
    """The key figures of a run, those of them that were measured."""
    shown = []
    for check, label, key, unit, note in (
        ("success", "acknowledged", "acknowledged", "", "of {attempted} attempted"),
        ("lost", "lost in the log", "lost", "", "of {acknowledged} acknowledged"),
        ("lost downstream", "lost on the way to the sink", "lost", "", "of {committed} committed"),
        ("throughput", "throughput", "acknowledged_per_second", "/s", "objective {objective_per_second}/s"),
        ("latency", "latency p99", "p99_ms", " ms", "p50 {p50_ms} ms, max {max_ms} ms"),
        ("recovered", "recovery", "recovery_seconds", " s", "objective {objective_seconds} s"),
        ("lag", "final lag", "final_messages", "", "peak {peak_messages} messages"),
        ("etl conservation", "ETL rows", "extracted", "", "{topic} in the topic, {rejects} rejected"),
        ("etl throughput", "ETL throughput", "produced_per_second", "/s", "objective {objective_per_second}/s"),
    ):
        found = findings.get(check)
        if found and key in found.measured:
            figures = {name: figure(value) for name, value in found.measured.items()}
            shown.append(Tile(label, figures[key] + unit, note.format_map(_Figures(figures)), found.verdict))
    return shown


def span(place: Mapping[str, Any], name: str) -> str:
    """From where to where the offenders of one group reach: `seqs`, `offsets` or `seconds`; empty if unknown."""
    first, last = place.get(f"{name}_from"), place.get(f"{name}_to")
    if first is None or last is None or first < 0:
        return ""
    return figure(first) if first == last else f"{figure(first)} to {figure(last)}"


class _Figures(dict[str, str]):
    """Figures by name; one that was not measured is an em dash."""

    def __missing__(self, name: str) -> str:
        return "—"


def _code(text: str) -> Markup:
    """Text with its `quoted` parts as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts)
    )


def _drawn(judgement: Judgement) -> list[Plot]:
    if judgement.history is None:
        return []
    back = [one for part in (judgement, *judgement.experiments.values()) for one in part.recoveries]
    return plots(judgement.history, judgement.timeline, back)


def _tables(judgement: Judgement) -> dict[str, dict[str, str]]:
    """Tables of names and values: objectives, plan, settings, versions, cluster."""
    manifest = judgement.manifest
    if manifest is None:
        return {}
    objectives = {name: "not set" if value is None else figure(value) for name, value in manifest.objectives}
    plan = {name: figure(value) if name != "seed" else str(value) for name, value in manifest.plan}
    if manifest.peak_memory_bytes is not None:
        plan["peak memory of the run"] = f"{manifest.peak_memory_bytes / 2**30:.2f} GiB"
    return {
        name: table
        for name, table in {
            "Plan": plan,
            "Objectives": objectives,
            "Settings": manifest.settings,
            "Cluster": manifest.cluster,
            "Versions": manifest.versions,
        }.items()
        if table
    }
