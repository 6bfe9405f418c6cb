"""What the run had to reach: throughput, success, latency, lag.

Rates and latencies come from the producers' ledgers, on one clock, and from the intended time of each send: a client
that waits for a slow broker before it sends again does not thereby look fast (coordinated omission). Lag comes from
the brokers' offsets, not from the client's belief.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from assay.checks.finding import UndecidedError, counted, finding
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from assay.checks.history import Array, History

#: A paced load ends one latency after its last send, so a little less than its pace is all it can show.
PACE_KEPT: Final = 0.95
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "max": 1.0}


def throughput(history: History) -> Finding:
    """Acknowledged messages a second, from the first intended send to the last acknowledgement, reach the objective.

    A paced load can't be faster than its pace. Paced at the objective or above, it has to reach the objective, or 95 %
    of its pace where that is less. Paced below the objective, it can't show the objective: `unknown` if it kept its
    pace, and `fail` if it did not. Sends whose outcome was never learnt could have been acknowledged: where they
    decide, it is `unknown`.
    """
    plan, objective = history.manifest.plan, history.manifest.objectives.throughput_per_second
    window = load_window(history)
    acked = sum(int(np.count_nonzero(sends.having(Outcome.OK))) for sends in history.sends)
    seconds = (window[1] - window[0]) / 1e9
    if seconds <= 0:
        raise UndecidedError("the load's window is empty: the clocks of its ledger do not advance")
    rate, pace = acked / seconds, plan.rate_per_second
    required = min(objective, PACE_KEPT * pace) if pace else objective
    paced = f", paced at {pace:,.0f}/s" if pace else ", unpaced"
    text = f"{rate:,.0f} messages/s acknowledged over {seconds:.2f} s{paced}; the objective is {objective:,.0f}/s."
    unlearnt = sum(int(np.count_nonzero(sends.attempted & ~sends.ended)) for sends in history.sends)
    verdict = Verdict.PASS if rate >= required else Verdict.FAIL
    if verdict is Verdict.FAIL and (acked + unlearnt) / seconds >= required:
        verdict = Verdict.UNKNOWN
        text += f" The outcome of {counted(unlearnt, 'send')} was never learnt."
    if verdict is Verdict.PASS and pace and pace < objective:
        verdict = Verdict.UNKNOWN
        text += " A load paced below the objective can't show it: raise the rate or lower the objective."
    measured = {
        "acknowledged_per_second": rate,
        "window_seconds": seconds,
        "required_per_second": required,
        "objective_per_second": objective,
    }
    return finding("throughput", verdict, text, measured)


def success(history: History) -> Finding:
    """Acknowledged sends, of all attempted, reach the objective.

    A send that the client gave up as unknown did not succeed for its application. A send whose outcome was never
    learnt, since the load generator died, counts both ways: if it decides, the verdict is `unknown`.
    """
    objective = history.manifest.objectives.success_ratio
    attempted = sum(len(sends) for sends in history.sends)
    if not attempted:
        raise UndecidedError("nothing was sent")
    acked = sum(int(np.count_nonzero(sends.having(Outcome.OK))) for sends in history.sends)
    unlearnt = sum(int(np.count_nonzero(sends.attempted & ~sends.ended)) for sends in history.sends)
    least, most = acked / attempted, (acked + unlearnt) / attempted
    verdict = Verdict.PASS if least >= objective else Verdict.FAIL if most < objective else Verdict.UNKNOWN
    text = (
        f"{acked:,} of {counted(attempted, 'send')} were acknowledged ({least:.4%}); the objective is {objective:.2%}."
    )
    if unlearnt:
        text += f" The outcome of {unlearnt:,} was never learnt."
    errors: dict[str, int] = {}
    for sends in history.sends:
        for error, count in sends.errors.items():
            errors[error] = errors.get(error, 0) + count
    ordered = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
    measured = {"acknowledged": acked, "attempted": attempted, "ratio": least, "objective_ratio": objective}
    listing: dict[str, list[str] | list[int]] = {
        "error": [error for error, _ in ordered],
        "count": [count for _, count in ordered],
    }
    return finding("success", verdict, text, measured, listing)


def latency(history: History) -> Finding:
    """Time from the intended send to the acknowledgement; its 99th percentile meets the objective, where one is set.

    Only acknowledged sends have a latency; the others are told by `success`. A message sent ahead of its intended time
    counts from its real one.
    """
    objective = history.manifest.objectives.latency_p99_ms
    values = latencies_ms(history)
    if not len(values):
        raise UndecidedError("no send was acknowledged")
    if values.min() < 0:
        raise UndecidedError("some sends were acknowledged before they were sent: the ledger's clock went back")
    figures = {
        f"{name}_ms": float(value)
        for name, value in zip(QUANTILES, np.quantile(values, list(QUANTILES.values())), strict=True)
    }
    verdict = Verdict.PASS if objective is None or figures["p99_ms"] <= objective else Verdict.FAIL
    text = ", ".join(f"{name.replace('_', '.')} {figures[f'{name}_ms']:,.1f} ms" for name in QUANTILES)
    text += "; no objective is set." if objective is None else f"; the objective for p99 is {objective:,.0f} ms."
    if objective is not None:
        figures["objective_p99_ms"] = objective
    return finding("latency", verdict, f"From the intended send to the acknowledgement: {text}", figures)


def lag(history: History) -> Finding:
    """Messages that waited for the group: at the end no more than the objective; at the peak too, while paced.

    The final lag is the brokers' end offsets after the load less the offsets committed after the drain. An unpaced
    load is as fast as the brokers allow, so its peak says nothing of the consumers: it is measured, not judged.
    """
    objectives, plan = history.manifest.objectives, history.manifest.plan
    final = {
        number: max(given.end - (given.log_start if given.committed is None else given.committed), 0)
        for number, given in sorted(history.partitions.items())
    }
    total = sum(final.values())
    verdict = Verdict.PASS if total <= objectives.final_lag_messages else Verdict.FAIL
    measured: dict[str, float] = {"final_messages": total, "objective_final_messages": objectives.final_lag_messages}
    text = f"{counted(total, 'message')} were left at the end ({objectives.final_lag_messages:,} are allowed)"
    try:
        peak = int(history.lag.waiting.sum(axis=0).max())
    except UndecidedError as reason:
        verdict = Verdict.FAIL if verdict is Verdict.FAIL else Verdict.UNKNOWN
        text += f"; the peak is unknown: {reason}."
    else:
        measured |= {"peak_messages": peak, "objective_peak_messages": objectives.peak_lag_messages}
        text += f", {peak:,} at the peak ({objectives.peak_lag_messages:,} are allowed while paced)."
        if plan.rate_per_second and peak > objectives.peak_lag_messages:
            verdict = Verdict.FAIL
    listing = {"partition": list(final), "waiting": list(final.values())} if total else {}
    return finding("lag", verdict, text, measured, listing)


def load_window(history: History) -> tuple[int, int]:
    """From the first intended send to the last acknowledgement, in nanoseconds of the ledgers' clock.

    Raises:
        UndecidedError: Nothing was acknowledged.
    """
    firsts, lasts = [], []
    for sends in history.sends:
        acked = sends.having(Outcome.OK)
        if acked.any():
            firsts.append(int(_began(sends.intended_ns, sends.sent_ns)[sends.attempted].min()))
            lasts.append(int(sends.ended_ns[acked].max()))
    if not firsts:
        raise UndecidedError("no send was acknowledged")
    return min(firsts), max(lasts)


def latencies_ms(history: History) -> Array:
    """The latency of every acknowledged send, in milliseconds, producer by producer in seq order."""
    parts = []
    for sends in history.sends:
        acked = sends.having(Outcome.OK)
        parts.append((sends.ended_ns[acked] - _began(sends.intended_ns[acked], sends.sent_ns[acked])) / 1e6)
    return np.concatenate(parts) if parts else np.empty(0)


def _began(intended_ns: Array, sent_ns: Array) -> Array:
    began: Array = np.minimum(intended_ns, sent_ns)
    return began
