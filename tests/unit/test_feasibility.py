"""Objectives against floors: what defaults can't keep is refused, with the settings to change; nothing else is."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from recovery_settings import OBJECTIVES, defaults, tuned
from rich.console import Console

from assay.recovery import feasibility
from assay.recovery.feasibility import judge
from assay.recovery.floors import Fault, floors_of
from assay.recovery.table import remarks, show
from assay.verdict import Verdict

if TYPE_CHECKING:
    from assay.recovery.setting import Settings


def refused(settings: Settings) -> dict[Fault, str]:
    """What is refused, and how."""
    return {one.fault: one.verdict for one in judge(settings, OBJECTIVES) if one.refused}


@pytest.mark.parametrize(
    ("protocol", "killed"), [("CLASSIC", Fault.CONSUMER_KILLED_CLASSIC), ("CONSUMER", Fault.CONSUMER_KILLED)]
)
def test_defaults_refuse_three_objectives(protocol: str, killed: Fault) -> None:
    """A killed consumer is noticed after 45 s, a silent broker after 60 s, and a lost node's pods go after 340 s."""
    assert refused(defaults(protocol)) == {
        killed: "impossible",
        Fault.BROKER_ISOLATED: "not guaranteed",
        Fault.NODE_LOST: "not guaranteed",
        Fault.NODE_REPLACED: "impossible",
    }
    floors = floors_of(defaults(protocol))
    assert floors[killed].phases[0].most_seconds == 45
    assert floors[Fault.NODE_REPLACED].least_seconds == pytest.approx(340, abs=1)
    most = floors[Fault.BROKER_ISOLATED].most_seconds
    assert most is not None
    assert most > 60


@pytest.mark.parametrize("protocol", ["CLASSIC", "CONSUMER"])
@pytest.mark.parametrize("static", [True, False])
def test_the_tuned_platform_refuses_none(protocol: str, static: bool) -> None:
    """Everything that it has an objective for can be kept."""
    judged = judge(tuned(protocol, static=static), OBJECTIVES)
    assert {one.verdict for one in judged if one.objective} == {"possible", "not in use"}
    assert feasibility.verdict(judged) == Verdict.PASS


@pytest.mark.parametrize("protocol", ["CLASSIC", "CONSUMER"])
@pytest.mark.parametrize("stricter", [1.0, 0.7, 0.5])
def test_a_remedy_suffices_and_is_no_more_than_is_needed(protocol: str, stricter: float) -> None:
    """Applied, all of it together keeps the objective; one step less of any of it does not."""
    settings = defaults(protocol)
    objectives = {name: seconds * stricter for name, seconds in OBJECTIVES.items()}
    fields = {setting: name for name, setting in vars(settings).items()}
    told = [one for one in judge(settings, objectives) if one.remedies]
    assert len(told) >= 4
    for one in told:
        change = {fields[remedy.setting]: replace(remedy.setting, seconds=remedy.seconds) for remedy in one.remedies}
        most = floors_of(replace(settings, **change))[one.fault].most_seconds  # type: ignore[arg-type]  # by name
        assert most is not None
        assert most <= one.objective_seconds
        for lever in feasibility.LEVERS:
            inside = {field: change[field] for field in lever.fields if field in change}
            step = {field: replace(value, seconds=value.seconds + 1) for field, value in inside.items()}
            if step:
                looser = floors_of(replace(settings, **(change | step)))[one.fault].most_seconds  # type: ignore[arg-type]
                assert looser is not None
                assert looser > one.objective_seconds


def test_no_remedy_stops_short_of_what_is_shipped() -> None:
    """What runs well here can be told others to do: no lever ends above the platform's own value."""
    shipped = tuned()
    for lever in feasibility.LEVERS:
        for field in lever.fields:
            assert lever.least <= getattr(shipped, field).seconds, field


def test_a_remedy_is_a_sentence_with_its_price() -> None:
    """Whose setting, from what to what, what must be lowered with it, and what it costs."""
    (one,) = [one for one in judge(defaults("CONSUMER"), {"pod crash": 30.0}) if one.refused]
    (remedy,) = one.remedies
    assert str(remedy).startswith(
        "group: consumer.session.timeout.ms from 45000 ms to 17000 ms "
        "(and group.consumer.min.session.timeout.ms to no more): a consumer that pauses for longer"
    )
    assert "the objective of 30 s after pod crash is impossible" in str(one)


def test_what_no_setting_can_do_has_no_remedy() -> None:
    """An objective below what every setting at its least takes."""
    (one,) = [one for one in judge(tuned(), {"pod crash": 2.0}) if one.fault == Fault.CONSUMER_KILLED_CLASSIC]
    assert (one.verdict, one.remedies) == ("impossible", ())
    assert "no setting changes that" in str(one)


def test_a_node_that_is_tolerated_for_ever() -> None:
    """The pods never leave it, and the remedy gives them a time."""
    (one,) = [one for one in judge(tuned(toleration=math.inf), OBJECTIVES) if one.refused]
    assert (one.fault, one.verdict) == (Fault.NODE_REPLACED, "impossible")
    assert [str(remedy).partition(":")[2].partition(":")[0] for remedy in one.remedies] == [
        " tolerationSeconds from for ever to 32 s"
    ]


def test_unknown_settings_are_never_granted_and_may_be_refused() -> None:
    """What is known may be too long by itself."""
    unknown = {one.fault: one for one in judge(tuned(node_grace=None), OBJECTIVES)}[Fault.NODE_REPLACED]
    assert (unknown.verdict, unknown.refused) == ("unknown", False)
    assert "node-monitor-grace-period: nobody said" in str(unknown)
    assert feasibility.verdict([unknown]) == Verdict.UNKNOWN
    known = {one.fault: one for one in judge(defaults(node_grace=None), OBJECTIVES)}[Fault.NODE_REPLACED]
    assert known.verdict == "impossible"
    assert feasibility.verdict([known, unknown]) == Verdict.FAIL


def test_without_an_objective_nothing_is_refused() -> None:
    """A class that is not named is not judged."""
    assert {one.verdict for one in judge(defaults(), {})} == {"no objective", "not in use"}


def test_the_table_has_every_fault_and_the_remarks_every_refusal() -> None:
    """What a person sees."""
    judged = judge(defaults(node_monitor=None), OBJECTIVES)
    shown = io.StringIO()
    show(judged, Console(file=shown))
    text = shown.getvalue()
    assert [fault for fault in Fault if str(fault) not in text] == []
    assert "41.0-50.0" in text
    assert "impossible" in text
    assert len(remarks(judged)) == len([one for one in judged if one.refused])
    assert [remark for remark in remarks(judged) if f"{remark}\n" not in text] == []


def test_a_narrow_terminal_has_no_room_for_phases() -> None:
    """The rest is whole."""
    shown = io.StringIO()
    show(judge(defaults(), OBJECTIVES), Console(file=shown, width=80, force_terminal=True, no_color=True))
    text = shown.getvalue()
    assert "catch up" not in text
    assert "not guaranteed" in text
    assert "…" not in text
