"""What an experiment's run is held to."""

from __future__ import annotations

import pytest

from assay.chaos.session import recovery_objectives, waiting


def test_recovery_is_held_to_what_the_experiment_says() -> None:
    """By fault; extensions of others, and ours without an objective, say nothing."""
    document = {
        "extensions": [
            {"name": "assay", "fault": "pod-crash", "objective_seconds": 30},
            {"name": "assay", "spare": "catalog"},
            {"name": "other", "fault": "x", "objective_seconds": 1},
        ]
    }
    assert recovery_objectives(document) == {"pod-crash": 30.0}


@pytest.mark.parametrize(
    ("rate", "recovery", "messages"),
    [
        (5000, {"two-brokers": 60.0}, 300_000),
        (100, {"pod-crash": 30.0}, 50_000),
        (0, {"pod-crash": 30.0}, 50_000),
        (5000, {}, 50_000),
    ],
)
def test_what_is_sent_while_service_may_be_away_may_wait(
    rate: float, recovery: dict[str, float], messages: int
) -> None:
    """Two objectives that contradict each other would fail a system that keeps the one of recovery."""
    assert waiting(50_000, rate, recovery) == messages
