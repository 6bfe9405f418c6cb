"""The experiments that are shipped: each can be run as it stands, heals what it breaks, and is judged."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import assay
from assay.chaos.catalogue import CATALOGUE
from assay.chaos.roles import BROKERS, CONSUMERS
from assay.errors import UsageError
from assay.experiment import load

EXPERIMENTS = sorted((Path(__file__).resolve().parents[2] / "experiments").glob("*.yaml"))
each = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)


def functions(experiment: dict[str, Any], part: str) -> list[str]:
    """The functions that a part of an experiment calls, in their order."""
    return [activity["provider"]["func"] for activity in experiment[part]]


def injected(experiment: dict[str, Any]) -> list[str]:
    """What its method injects, without the verb."""
    return [name.removeprefix("inject_") for name in functions(experiment, "method") if name.startswith("inject_")]


def foreign(experiment: dict[str, Any]) -> list[str]:
    """The names of what chaosk8s does in it: the strict control writes that down by its name, and has it healed."""
    method = experiment["method"]
    return [
        one["name"] for one in method if one["provider"]["module"].startswith("chaosk8s") and "tolerance" not in one
    ]


def test_the_three_of_the_mission_are_there() -> None:
    """By the names that the documentation gives them."""
    assert {"pod-crash", "broker-failure", "network-partition"} <= {path.stem for path in EXPERIMENTS}


@each
def test_it_is_valid(path: Path) -> None:
    """By Chaos Toolkit's own check: its form, that its actions and probes exist, and that they take such arguments."""
    load(path)


@each
def test_its_title_is_a_question(path: Path) -> None:
    """Which a verdict answers."""
    assert load(path)["title"].endswith("?")


@each
def test_its_faults_take_what_it_gives_them(path: Path) -> None:
    """Not only the names of arguments, but also their values."""
    for activity in load(path)["method"]:
        name = activity["provider"]["func"].removeprefix("inject_").replace("_", "-")
        if activity["provider"]["func"].startswith("inject_"):
            given = activity["provider"].get("arguments", {})
            CATALOGUE[name].checked(name, {key: value for key, value in given.items() if key != "seconds"})
            known = [*BROKERS, *CONSUMERS]
            assert "role" not in given or re.sub(r"\d+$", "<partition>", given["role"]) in known


@each
def test_it_heals_what_it_breaks(path: Path) -> None:
    """In the method, before the evidence is gathered, and among the rollbacks, which are always played."""
    experiment = load(path)
    method, rollbacks = functions(experiment, "method"), functions(experiment, "rollbacks")
    broken = injected(experiment)
    assert broken or foreign(experiment)
    assert rollbacks[-1] == "collect_evidence"
    assert experiment["runtime"]["rollbacks"]["strategy"] == "always"
    for name in broken:
        assert method.index(f"inject_{name}") < method.index(f"heal_{name}") < method.index("collect_evidence")
        assert rollbacks.index(f"heal_{name}") < rollbacks.index("collect_evidence")


@each
def test_it_is_strict_and_judged(path: Path) -> None:
    """The strict control watches it, a steady state comes first, and the judge's last word must be pass."""
    experiment = load(path)
    assert [control["provider"]["module"] for control in experiment["controls"]] == ["assay.chaos.control"]
    looks = [probe["provider"]["func"] for probe in experiment["steady-state-hypothesis"]["probes"]]
    assert looks == ["messages_waiting", "under_replicated_partitions", "consumers_assigned", "error_ratio"]
    method = functions(experiment, "method")
    assert method[:2] == ["start_load", "await_steady"]
    assert method[-3:] == ["finish_load", "collect_evidence", "verdict"]
    assert experiment["method"][-1]["tolerance"] == "pass"


@each
def test_it_says_what_it_breaks_and_in_what_time_that_must_be_over(path: Path) -> None:
    """For whoever runs it many times and judges the times."""
    experiment = load(path)
    (extension,) = experiment["extensions"]
    assert extension["name"] == "assay"
    assert extension["fault"].replace("-", "_") in injected(experiment) or extension["fault"] in foreign(experiment)
    assert 0 < extension["objective_seconds"] <= 60


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"func": "inject_broker_sigkil"}, "inject_broker_sigkil"),
        ({"arguments": {"rolle": "leader:0"}}, "rolle"),
    ],
)
def test_an_action_that_is_not_there_is_a_sentence(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Before anything is touched; so is an argument that it does not take."""
    document = yaml.safe_load((EXPERIMENTS[0].parent / "broker-failure.yaml").read_text())
    document["method"][2]["provider"] |= change
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(UsageError, match=rf"wrong\.yaml is no experiment that can be run: .*{sentence}"):
        load(path)


def test_a_file_that_is_no_experiment_is_a_sentence(tmp_path: Path) -> None:
    """Not there, or something else."""
    with pytest.raises(UsageError, match="is no experiment that can be run"):
        load(tmp_path / "absent.yaml")


def test_chaos_toolkit_discovers_every_fault() -> None:
    """Both halves of each, with the fault's own arguments; and the probes."""
    found = {one["name"]: one for one in assay.discover()["activities"]}
    names = [name.replace("-", "_") for name in CATALOGUE]
    assert {f"{verb}_{name}" for verb in ("inject", "heal") for name in names} <= found.keys()
    assert {"messages_waiting", "under_replicated_partitions", "consumers_assigned", "verdict"} <= found.keys()
    cut = found["inject_broker_isolated"]
    assert {one["name"] for one in cut["arguments"]} == {"role", "seed", "peers", "direction", "seconds"}
    assert cut["doc"].startswith("A broker's packets are dropped")
