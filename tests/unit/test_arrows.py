"""The arrows of the house: which part may import which. What a part must not know, it does not import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for folder in ("assay", "workloads", "locustfiles", "playbooks")
    for path in (HOUSE / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)


def module(path: Path) -> str:
    """A file's dotted name."""
    return ".".join(path.relative_to(HOUSE).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it; a name imported from a module counts as below it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide who imports whom"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imported(name: str, prefix: str) -> bool:
    """Whether a dotted name is a module or lies below it."""
    return name == prefix or name.startswith(f"{prefix}.")


def offenders(within: str, forbidden: str, *, excepted: tuple[str, ...] = ()) -> list[str]:
    """Files of a part that import what they must not."""
    return [
        f"{module(path)} imports {name}"
        for path in SOURCES
        if imported(module(path), within) and not any(imported(module(path), other) for other in excepted)
        for name in sorted(imports(path))
        if imported(name, forbidden)
    ]


def test_there_is_something_to_look_at() -> None:
    """An arrow that is kept because nothing was read is not kept."""
    names = {module(path) for path in SOURCES}
    assert {"assay.judge", "assay.checks.delivery"} <= names
    assert any(imported(name, "workloads") for name in names)
    assert "assay.evidence.load" not in names
    assert "assay.evidence" in imports(HOUSE / "assay/judge.py")


@pytest.mark.parametrize(
    ("within", "forbidden"),
    [
        ("assay", "workloads"),
        ("workloads", "assay"),
        ("workloads", "locustfiles"),
        ("assay", "locustfiles"),
        ("playbooks", "assay"),
        ("playbooks", "workloads"),
    ],
)
def test_the_judge_and_the_judged_never_meet(within: str, forbidden: str) -> None:
    """They share Kafka headers and manifests, and no code."""
    assert offenders(within, forbidden) == []


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("confluent_kafka", ("assay.kafka",)),
        ("ansible_runner", ("assay.deploy",)),
        ("locust", ("locustfiles",)),
        ("matplotlib", ("assay.report", "assay.campaign.page")),
        ("jinja2", ("assay.report",)),
        ("chaoslib", ("assay.chaos", "assay.experiment")),
    ],
)
def test_a_library_has_one_room(library: str, rooms: tuple[str, ...]) -> None:
    """So that the rest of the house neither depends on it nor waits for its import."""
    assert offenders("assay", library, excepted=rooms) == []
    assert offenders("workloads", library, excepted=("workloads",) if library == "confluent_kafka" else ()) == []


@pytest.mark.parametrize("part", ["assay.checks", "assay.judge", "assay.evidence", "assay.report", "assay.recovery"])
@pytest.mark.parametrize(
    "edge",
    [
        "kubernetes",
        "confluent_kafka",
        "subprocess",
        "socket",
        "time",
        "datetime",
        "random",
        "os",
        "assay.kafka",
        "assay.clusters",
        "assay.chaos",
        "assay.deploy",
        "assay.cli",
        "assay.commands",
        "assay.platform",
    ],
)
def test_a_verdict_comes_from_the_folder_alone(part: str, edge: str) -> None:
    """No clock, no chance, no network, no environment: the same folder gives the same verdict."""
    assert offenders(part, edge) == []


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ("assay.verdict", "assay"),
        ("assay.ledger", "assay.checks"),
        ("assay.ledger", "assay.manifest"),
        ("assay.checks", "assay.judge"),
        ("assay.checks", "assay.evidence"),
        ("assay.checks", "assay.report"),
        ("assay.judge", "assay.report"),
        ("assay.kafka", "assay.checks"),
        ("assay.clusters", "assay.checks"),
        ("assay.audit", "assay.clusters"),
        ("assay.audit", "assay.rbac"),
        ("assay.rbac", "assay.platform"),
        ("assay.recovery", "assay.checks"),
        ("assay.recovery", "assay.settings"),
        ("assay.recovery", "assay.manifest"),
        ("assay.clusters", "assay.chaos"),
        ("assay.kafka", "assay.chaos"),
        ("assay.platform", "assay.chaos"),
        ("assay.ledger", "assay.chaos"),
        ("assay.chaos", "assay.judge"),
        ("assay.chaos", "assay.experiment"),
        ("assay.chaos", "assay.cli"),
        ("assay.commands", "assay.cli"),
        ("assay.stages", "assay.commands"),
        ("assay.stages", "assay.chaos"),
        ("assay.posture", "assay.leaks"),
        ("assay.secret_values", "assay"),
        ("assay.leaks", "assay.platform"),
        ("assay.leaks", "kubernetes"),
        ("assay.rights", "assay.platform"),
        ("assay.rights", "kubernetes"),
    ],
)
def test_arrows_point_one_way(lower: str, upper: str) -> None:
    """`verdict, ledger ← checks ← judge ← report ← cli`; what reaches the cluster knows nothing of judging."""
    assert offenders(lower, upper) == []


@pytest.mark.parametrize(
    "lower",
    ["packets", "node_processes", "node_disk", "node_network", "node_program", "node", "target"],
)
def test_what_is_done_on_a_node_knows_nothing_of_faults(lower: str) -> None:
    """`packets, node_program ← node ← node_pods`; `faults ← injection` stand on them."""
    for upper in ("assay.chaos.faults", "assay.chaos.injection", "assay.chaos.node_pods"):
        assert offenders(f"assay.chaos.{lower}", upper) == []


#: What of `assay.chaos` is Chaos Toolkit's extension: it knows runs and the judge, as what stands below it does not.
PARTS = ("environment", "background", "session", "watch", "actions", "probes", "control")
EXTENSION = tuple(f"assay.chaos.{name}" for name in PARTS)


@pytest.mark.parametrize("upper", ["checks", "report", "stages", "clusters", "load", "run"])
def test_a_fault_knows_nothing_of_runs(upper: str) -> None:
    """It is injected, seen and healed wherever; what an experiment makes of it is the extension's."""
    assert offenders("assay.chaos", f"assay.{upper}", excepted=EXTENSION) == []


@pytest.mark.parametrize("upper", EXTENSION)
def test_a_fault_knows_nothing_of_the_extension(upper: str) -> None:
    """It can be used without Chaos Toolkit."""
    assert offenders("assay.chaos", upper, excepted=EXTENSION) == []


@pytest.mark.parametrize(
    "upper", ["checks", "judge", "report", "stages", "run", "load", "chaos", "clusters", "deploy", "cli"]
)
def test_posture_knows_nothing_of_runs(upper: str) -> None:
    """It looks at a platform, whoever made its cluster, and needs no load."""
    assert offenders("assay.posture", f"assay.{upper}") == []


@pytest.mark.parametrize("name", ["probe", "authorities", "intent", "document", "report"])
def test_what_a_probe_shows_is_pure(name: str) -> None:
    """Expected against seen, without a cluster."""
    for edge in ("kubernetes", "urllib3", "time", "assay.platform", "assay.pods", "assay.preflight"):
        assert offenders(f"assay.posture.{name}", edge) == []


@pytest.mark.parametrize("upper", ["builders", "catalogue"])
def test_a_fault_does_not_know_how_it_is_named(upper: str) -> None:
    """`faults, isolation, crash, … ← builders ← catalogue`; whoever injects needs no name either."""
    others = ("assay.chaos.builders", "assay.chaos.catalogue", *EXTENSION)
    assert offenders("assay.chaos", f"assay.chaos.{upper}", excepted=others) == []


def test_there_is_no_drawer_for_everything() -> None:
    """No `utils`, no `common`: a file is named after its noun."""
    vague = {"utils", "util", "common", "helpers", "misc"}
    assert [module(path) for path in SOURCES if vague & set(module(path).split("."))] == []
