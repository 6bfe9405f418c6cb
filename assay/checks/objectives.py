"""What the run had to reach: throughput, success, latency, lag.

Rates and latencies come from the producers' ledgers, on one clock, and from the intended time of each send: a client
that waits for a slow broker before it sends again does not thereby look fast (coordinated omission). Lag comes from
the brokers' offsets, not from the client's belief.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.check import Check
from assay.checks.finding import UndecidedError, counted, finding
from assay.checks.histogram import Buckets
from assay.checks.tally import Tally
from assay.ledger import Outcome
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from assay.checks.history import Array, History
    from assay.checks.sends import Sends
    from assay.checks.shards import SendsShard

#: A paced load ends one latency after its last send, so a little less than its pace is all it can show.
PACE_KEPT: Final = 0.95
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999}
#: Latencies are counted in buckets no wider than 1/1024 of their values.
LATENCIES: Final = Buckets(1024)


class Throughput(Check):
    """Acknowledged messages a second, from the first intended send to the last acknowledgement, reach the objective.

    A paced load can't be faster than its pace. Paced at the objective or above, it has to reach the objective, or 95 %
    of its pace where that is less. Paced below the objective, it can't show the objective: `unknown` if it kept its
    pace, and `fail` if it did not. Sends whose outcome was never learnt could have been acknowledged: where they
    decide, it is `unknown`.
    """

    name = "throughput"
    needs = ("sends",)

    def of_sends(self, shard: SendsShard) -> Tally:
        """Acknowledged sends, and when they began and ended."""
        counts, least, most = Counter[str](), [], []
        for sends in shard.sends:
            acked = sends.having(Outcome.OK)
            counts["acknowledged"] += int(np.count_nonzero(acked))
            counts["unlearnt"] += _unlearnt(sends)
            if sends.attempted.any():
                least.append(int(began(sends)[sends.attempted].min()))
            if acked.any():
                most.append(int(sends.ended_ns[acked].max()))
        return Tally(
            counts, least={"began_ns": min(least)} if least else {}, most={"ended_ns": max(most)} if most else {}
        )

    def conclude(self, tally: Tally, history: History) -> Finding:
        """The rate over the whole load."""
        plan, objective = history.manifest.plan, history.manifest.objectives.throughput_per_second
        if "ended_ns" not in tally.most:
            raise UndecidedError("no send was acknowledged")
        acked, unlearnt = tally.counts["acknowledged"], tally.counts["unlearnt"]
        seconds = (tally.most["ended_ns"] - tally.least["began_ns"]) / 1e9
        if seconds <= 0:
            raise UndecidedError("the load's window is empty: the clocks of its ledger do not advance")
        rate, pace = acked / seconds, plan.rate_per_second
        required = min(objective, PACE_KEPT * pace) if pace else objective
        paced = f", paced at {pace:,.0f}/s" if pace else ", unpaced"
        text = f"{rate:,.0f} messages/s acknowledged over {seconds:.2f} s{paced}; the objective is {objective:,.0f}/s."
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
        return finding(self.name, verdict, text, measured)


class Success(Check):
    """Acknowledged sends, of all attempted, reach the objective.

    A send that the client gave up as unknown did not succeed for its application. A send whose outcome was never
    learnt, since the load generator died, counts both ways: if it decides, the verdict is `unknown`.
    """

    name = "success"
    needs = ("sends",)

    def of_sends(self, shard: SendsShard) -> Tally:
        """Sends by success, and errors by their text."""
        counts = Counter[str]()
        for sends in shard.sends:
            counts["attempted"] += len(sends)
            counts["acknowledged"] += int(np.count_nonzero(sends.having(Outcome.OK)))
            counts["unlearnt"] += _unlearnt(sends)
            counts.update({f"error {error}": count for error, count in sends.errors.items()})
        return Tally(counts)

    def conclude(self, tally: Tally, history: History) -> Finding:
        """The ratio over the whole load, and which errors there were."""
        objective = history.manifest.objectives.success_ratio
        attempted, acked, unlearnt = (tally.counts[name] for name in ("attempted", "acknowledged", "unlearnt"))
        if not attempted:
            raise UndecidedError("nothing was sent")
        least, most = acked / attempted, (acked + unlearnt) / attempted
        verdict = Verdict.PASS if least >= objective else Verdict.FAIL if most < objective else Verdict.UNKNOWN
        text = (
            f"{acked:,} of {counted(attempted, 'send')} were acknowledged ({least:.4%}); "
            f"the objective is {objective:.2%}."
        )
        if unlearnt:
            text += f" The outcome of {unlearnt:,} was never learnt."
        errors = {name.removeprefix("error "): n for name, n in tally.counts.items() if name.startswith("error ")}
        ordered = sorted(errors.items(), key=lambda item: (-item[1], item[0]))
        measured = {"acknowledged": acked, "attempted": attempted, "ratio": least, "objective_ratio": objective}
        late: dict[str, list[Any]] = {
            "error": [error for error, _ in ordered],
            "count": [count for _, count in ordered],
        }
        return finding(self.name, verdict, text, measured, late=late)


class Latency(Check):
    """Time from the intended send to the acknowledgement; its 99th percentile meets the objective, where one is set.

    Only acknowledged sends have a latency; the others are told by `success`. A message sent ahead of its intended time
    counts from its real one. Quantiles are by nearest rank, within 0.05 % (buckets as of HdrHistogram).
    """

    name = "latency"
    needs = ("sends",)

    def of_sends(self, shard: SendsShard) -> Tally:
        """A histogram of nanoseconds."""
        bins, counts, most = np.zeros(LATENCIES.count, dtype=np.int64), Counter[str](), []
        for sends in shard.sends:
            values = latencies_ns(sends)
            counts["negative"] += int(np.count_nonzero(values < 0))
            if len(values):
                bins += LATENCIES.counts(np.maximum(values, 0))
                most.append(int(values.max()))
        return Tally(counts, bins={"latency": bins}, most={"ns": max(most)} if most else {})

    def conclude(self, tally: Tally, history: History) -> Finding:
        """The quantiles, and whether the objective is met."""
        objective = history.manifest.objectives.latency_p99_ms
        if not tally.most:
            raise UndecidedError("no send was acknowledged")
        if tally.counts["negative"]:
            raise UndecidedError("some sends were acknowledged before they were sent: the ledger's clock went back")
        quantiles = LATENCIES.quantiles(tally.bins["latency"], list(QUANTILES.values()))
        most = tally.most["ns"] / 1e6
        figures = {f"{name}_ms": min(value / 1e6, most) for name, value in zip(QUANTILES, quantiles, strict=True)}
        figures["max_ms"] = most
        verdict = Verdict.PASS if objective is None or figures["p99_ms"] <= objective else Verdict.FAIL
        text = ", ".join(
            f"{name.removesuffix('_ms').replace('_', '.')} {value:,.1f} ms" for name, value in figures.items()
        )
        text += "; no objective is set." if objective is None else f"; the objective for p99 is {objective:,.0f} ms."
        if objective is not None:
            figures["objective_p99_ms"] = objective
        return finding(self.name, verdict, f"From the intended send to the acknowledgement: {text}", figures)


class FinalLag(Check):
    """Messages that waited for the group: at the end no more than the objective; at the peak too, while paced.

    The final lag is the brokers' end offsets after the load less the offsets committed after the drain. An unpaced
    load is as fast as the brokers allow, so its peak says nothing of the consumers: it is measured, not judged.
    """

    name = "lag"
    needs = ("partitions",)

    def conclude(self, tally: Tally, history: History) -> Finding:  # noqa: ARG002  # nothing is counted in pieces
        """From the manifest and the samples."""
        objectives, plan = history.manifest.objectives, history.manifest.plan
        if not plan.group:
            raise UndecidedError(f"no group consumes the topic {plan.topic}")
        if not all(given.committed_asked for given in history.partitions.values()):
            raise UndecidedError("the brokers were not asked after the drain what the group has committed")
        final = {
            number: max(given.end - (given.log_start if given.committed is None else given.committed), 0)
            for number, given in sorted(history.partitions.items())
        }
        total = sum(final.values())
        verdict = Verdict.PASS if total <= objectives.final_lag_messages else Verdict.FAIL
        measured: dict[str, float] = {
            "final_messages": total,
            "objective_final_messages": objectives.final_lag_messages,
        }
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
        late = {"partition": list(final), "waiting": list(final.values())} if total else {}
        return finding(self.name, verdict, text, measured, late=late)


def began(sends: Sends) -> Array:
    """When each send began: when it was intended, or made if that was before."""
    times: Array = np.minimum(sends.intended_ns, sends.sent_ns)
    return times


def latencies_ns(sends: Sends) -> Array:
    """The latency of every acknowledged send, in nanoseconds, in the order of seqs."""
    acked = sends.having(Outcome.OK)
    latencies: Array = sends.ended_ns[acked] - began(sends)[acked]
    return latencies


def _unlearnt(sends: Sends) -> int:
    return int(np.count_nonzero(sends.attempted & ~sends.ended))
