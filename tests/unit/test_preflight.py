"""Pre-flight: answers from the workloads' own pods, held against what must be open and what must not."""

from __future__ import annotations

import json
import socket
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from assay.preflight import _BASH_PROBE, _PYTHON_PROBE, Path, check_resources, judge_paths, paths

ETL_KAFKA = Path("etl", "kafka-0.kafka.production.svc", 9092, open=True)
ETL_CATALOG = Path("etl", "iceberg-catalog.production.svc", 5432, open=False)


def verdicts(*answers: Any) -> dict[str, str]:
    """The checks' verdicts by name, for the two paths above."""
    return {check.name: check.verdict for check in judge_paths([ETL_KAFKA, ETL_CATALOG], *answers)}


def test_all_as_expected_passes() -> None:
    """Every name resolves, what must be open is open and what must not be is refused: three passes."""
    answers = {"etl": {ETL_KAFKA.target: "open", ETL_CATALOG.target: "timeout"}}
    assert verdicts(answers) == {"dns": "pass", "connectivity": "pass", "policy": "pass"}


def test_an_open_forbidden_path_fails_policy_only() -> None:
    """A forbidden path that opens is a policy finding, not a connectivity one."""
    answers = {"etl": {ETL_KAFKA.target: "open", ETL_CATALOG.target: "open"}}
    assert verdicts(answers) == {"dns": "pass", "connectivity": "pass", "policy": "fail"}


def test_a_name_that_does_not_resolve_is_no_refusal() -> None:
    """A forbidden address whose name is unknown shows nothing about policy: dns fails, and policy is unknown."""
    answers = {"etl": {ETL_KAFKA.target: "open", ETL_CATALOG.target: "no such name"}}
    assert verdicts(answers) == {"dns": "fail", "connectivity": "pass", "policy": "unknown"}


def test_a_blocked_needed_path_fails_connectivity() -> None:
    """A needed path that times out is named with what happened."""
    answers = {"etl": {ETL_KAFKA.target: "timeout", ETL_CATALOG.target: "timeout"}}
    checks = {check.name: check for check in judge_paths([ETL_KAFKA, ETL_CATALOG], answers)}
    assert checks["connectivity"].verdict == "fail"
    assert "etl → kafka-0.kafka.production.svc:9092: timeout" in checks["connectivity"].detail


def test_what_could_not_be_tried_is_unknown() -> None:
    """A source from which nothing could be tried makes every check unknown, with the reason, and none pass."""
    checks = judge_paths([ETL_KAFKA, ETL_CATALOG], {"etl": "no pod of etl runs"})
    assert {check.verdict for check in checks} == {"unknown"}
    assert all("no pod of etl runs" in check.detail for check in checks)


def test_every_forbidden_path_has_a_control() -> None:
    """Each address that must be refused to one workload must be open to another, else a refusal shows nothing."""
    expected = paths("production", 3)
    opened = {path.target for path in expected if path.open}
    assert {path.target for path in expected if not path.open} <= opened


def test_a_container_without_limits_is_named() -> None:
    """A container that lacks one of requests or limits is named with what it lacks."""
    good = {"cpu": "100m", "memory": "64Mi"}
    resources = SimpleNamespace(requests=good, limits={"cpu": "1"})
    container = SimpleNamespace(name="feed", resources=resources)
    pod = SimpleNamespace(metadata=SimpleNamespace(name="feed-1"), spec=SimpleNamespace(containers=[container]))
    check = check_resources([pod])
    assert check.verdict == "fail"
    assert check.detail == "feed-1/feed has no limits.memory"


def test_no_pods_is_unknown() -> None:
    """A platform without pods has shown nothing about its resources."""
    assert check_resources([]).verdict == "unknown"


@pytest.mark.parametrize("program", [["bash", "-c", _BASH_PROBE, "probe"], ["python3", "-c", _PYTHON_PROBE]])
def test_both_programs_know_names_and_addresses(program: list[str]) -> None:
    """An address needs no name server; one that listens is open, another refused, and a name may not be."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # a port that nobody else gets, and that nobody listens on
        ports = listener.getsockname()[1], silent.getsockname()[1]
        expected = {
            f"127.0.0.1:{ports[0]}": "open",
            f"localhost:{ports[0]}": "open",
            f"127.0.0.1:{ports[1]}": "refused",
            "no-such-name.invalid:80": "no such name",
        }
        ran = subprocess.run([*program, *expected], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(ran.stdout) == expected
