"""Clean histories stay clean, whatever they look like: no false alarm."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import Run

from assay.ledger import Outcome


@settings(max_examples=150, deadline=None)
@given(
    messages=st.integers(12, 80),
    partitions=st.integers(1, 3),
    producers=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_clean_histories_have_no_complaint(messages: int, partitions: int, producers: int, seed: int) -> None:
    """Any number of producers and partitions, acknowledgements in any order, unknown sends written or not, repeats.

    Acknowledgements are learnt in random order, ledger rows of the sink are in random order, some sends end unknown
    (half of them written), and some rows of the sink are delivered again.
    """
    random = np.random.default_rng(seed)
    run = Run(messages=messages, partitions=partitions, producers=producers)
    run.manifest["objectives"]["success_ratio"] = 0.0
    run.manifest["objectives"]["throughput_per_second"] = 1.0
    run.manifest["objectives"]["sink_repeats"] = None
    run.manifest["replicas"] = [
        {"pod": f"pod-{number}", "node": "node", "ready": True, "partitions": [number]} for number in range(3)
    ]
    last = {name: len(rows) - 1 for name, rows in run.outcomes.items()}
    for name, outcomes in run.outcomes.items():
        for seq in random.choice(len(outcomes), size=len(outcomes) // 6, replace=False).tolist():
            if seq != last[name] and random.random() < 0.5 and len(_in(run, outcomes[seq]["partition"])) > 1:
                run.lose(name, seq)
            outcomes[seq] |= {"outcome": Outcome.UNKNOWN, "offset": None, "error": "_MSG_TIMED_OUT"}
        random.shuffle(outcomes)
    run.sink += [dict(run.sink[row]) for row in random.choice(len(run.sink), size=3).tolist()]
    random.shuffle(run.sink)
    assert run.complaints() == {}


def _in(run: Run, partition: int) -> list[object]:
    """This run's records in one partition."""
    return [row for row in run.log if row["partition"] == partition and row["offset"] >= 100]
