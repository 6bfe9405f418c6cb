"""The network's truth table: answers from within pods, held against what is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assay.posture.intent import is_open
from assay.posture.network import METADATA, Endpoint, Table, judge
from assay.verdict import Verdict

if TYPE_CHECKING:
    from assay.posture.probe import Finding
    from assay.preflight import Answer

API = "10.0.0.1:6443"
NAME = "kafka.production.svc:9092"
TABLE = Table(
    (
        Endpoint("kafka-0", "kafka", "10.0.1.1"),
        Endpoint("kafka-1", "kafka", "10.0.2.1"),
        Endpoint("catalog-0", "catalog", "10.0.1.2"),
        Endpoint("feed-a", "feed", "10.0.1.3"),
        Endpoint("analytics-a", "analytics", "10.0.1.4"),
        Endpoint("etl", "etl", "10.0.1.5"),
    ),
    NAME,
    (API,),
)
Answers = dict[str, "dict[str, Answer] | str"]


@pytest.fixture
def answers() -> Answers:
    """What is seen where all is as meant: closed ways are silent, and every pod reaches itself."""
    found: Answers = {}
    for source in TABLE.endpoints:
        mine: dict[str, Answer] = dict.fromkeys(TABLE.targets(), "timeout")
        mine |= {cell.target: "open" for cell in TABLE.cells() if cell.source == source.name and cell.open}
        mine |= {target: "open" for target in TABLE.targets() if target.startswith(f"{source.address}:")}
        found[source.name] = mine
    return found


def findings(answers: Answers) -> dict[str, Finding]:
    """The findings by name."""
    return {one.probe.name.partition("/")[2]: one for one in judge(TABLE, answers)}


def verdicts(answers: Answers) -> dict[str, str]:
    """What is not a pass, by name."""
    return {name: str(one.verdict) for name, one in findings(answers).items() if one.verdict is not Verdict.PASS}


def put(answers: Answers, source: str, target: str, answer: Answer) -> None:
    """Change what one source sees of one target."""
    mine = answers[source]
    assert isinstance(mine, dict)
    assert target in mine
    mine[target] = answer


@pytest.mark.parametrize(
    ("source", "destination", "port", "meant"),
    [
        ("kafka", "kafka", 9091, True),
        ("kafka", "kafka", 9092, False),
        ("etl", "kafka", 9092, True),
        ("etl", "kafka", 9091, False),
        ("etl", "kafka", 9094, False),
        ("etl", "feed", 8080, True),
        ("etl", "catalog", 5432, False),
        ("analytics", "catalog", 5432, True),
        ("analytics", "feed", 8080, False),
        ("sink-reader", "catalog", 5432, True),
        ("sink-reader", "kafka", 9092, False),
        ("topics", "kafka", 9092, True),
        ("feed", "etl", 8080, False),
        ("catalog", "analytics", 8081, False),
        ("kafka", "topics", 8080, False),
    ],
)
def test_what_is_meant(source: str, destination: str, port: int, *, meant: bool) -> None:
    """A way is open where both ends allow it; the way back is another one."""
    assert is_open(source, destination, port) is meant


def test_every_pair_is_a_cell_both_ways() -> None:
    """By every port that the destination listens on; a pod with itself is none."""
    cells = {(cell.source, cell.to) for cell in TABLE.cells()}
    assert len(cells) == len(TABLE.cells()) == 5 * (4 + 4 + 1 + 1 + 1)
    assert {("kafka-0", "kafka-1:9091"), ("kafka-1", "kafka-0:9091"), ("etl", "feed-a:8080")} <= cells
    assert ("feed-a", "feed-a:8080") not in cells


def test_all_as_meant_passes(answers: Answers) -> None:
    """Open, shut, names, API server and metadata."""
    assert verdicts(answers) == {}
    assert len(findings(answers)) == 5


def test_each_open_way_that_is_shut_is_red(answers: Answers) -> None:
    """And that alone, with the way's name."""
    for cell in TABLE.cells():
        if not cell.open:
            continue
        put(answers, cell.source, cell.target, "timeout")
        # Where this was the only one who reaches it, the target's own pod still does
        assert verdicts(answers) == {"open": "fail"}
        assert findings(answers)["open"].offenders == (f"{cell}: timeout",)
        put(answers, cell.source, cell.target, "open")


def test_each_shut_way_that_is_open_is_red(answers: Answers) -> None:
    """And that alone, with the way's name."""
    for cell in TABLE.cells():
        if cell.open:
            continue
        put(answers, cell.source, cell.target, "open")
        assert verdicts(answers) == {"shut": "fail"}
        assert findings(answers)["shut"].offenders == (str(cell),)
        put(answers, cell.source, cell.target, "timeout")


def test_a_shut_way_to_where_nobody_listens_shows_nothing(answers: Answers) -> None:
    """A pod that does not even answer itself is no control."""
    put(answers, "kafka-0", "10.0.1.1:9094", "refused")
    assert verdicts(answers) == {"shut": "unknown"}
    assert "nobody is seen to listen" in findings(answers)["shut"].happened


@pytest.mark.parametrize("answer", ["timeout", "refused"])
def test_dropped_and_reset_are_both_refusals(answers: Answers, answer: Answer) -> None:
    """Network plugins do one or the other."""
    put(answers, "feed-a", "10.0.1.2:5432", answer)
    assert verdicts(answers) == {}


def test_a_cluster_without_a_policy_engine_is_told_what_to_do(answers: Answers) -> None:
    """Where every forbidden way is open, the remedy is not another policy."""
    for mine in answers.values():
        assert isinstance(mine, dict)
        mine.update(dict.fromkeys(mine, "open"))
    assert verdicts(answers) == {"shut": "fail", "api-server": "fail", "metadata": "fail"}
    assert "enforces no network policies" in findings(answers)["shut"].remedy


def test_names_that_do_not_resolve(answers: Answers) -> None:
    """A pod that is cut off from the DNS is red there; one that may reach nothing else has no control left."""
    put(answers, "feed-a", NAME, "no such name")
    assert verdicts(answers) == {"dns": "fail", "shut": "unknown", "api-server": "unknown", "metadata": "unknown"}
    assert findings(answers)["dns"].offenders == ("feed-a can't resolve kafka.production.svc",)
    put(answers, "feed-a", NAME, "timeout")
    put(answers, "etl", NAME, "no such name")
    assert verdicts(answers) == {"dns": "fail"}


@pytest.mark.parametrize(("target", "name"), [(API, "api-server"), (METADATA, "metadata")])
def test_what_no_pod_may_reach(answers: Answers, target: str, name: str) -> None:
    """The API server and the clouds' metadata: one pod that reaches it is red."""
    put(answers, "etl", target, "open")
    assert verdicts(answers) == {name: "fail"}
    assert findings(answers)[name].offenders == (f"etl → {target}",)


def test_what_could_not_be_tried_is_unknown(answers: Answers) -> None:
    """A pod in which nothing can be run leaves everything unknown, with its reason, and nothing passes."""
    answers["etl"] = "no pod of etl can be made"
    assert set(verdicts(answers).values()) == {"unknown"}
    assert len(verdicts(answers)) == 5
    del answers["etl"]
    assert len(verdicts(answers)) == 5
