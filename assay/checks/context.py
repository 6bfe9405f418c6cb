"""What stood around an offender: when it was, who led, which fault was active, what stands at its place now.

Only the few offenders that a finding shows are looked up, so it costs little, and nothing where nothing is wrong.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from assay.checks.finding import UndecidedError
from assay.verdict import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.checks.history import History

#: So many offsets on either side of an offender are shown.
_AROUND: Final = 1


def placed(found: Finding, history: History) -> Finding:
    """A finding that does not pass, its examples and places told with what stood around them."""
    if found.verdict is Verdict.PASS:
        return found
    examples = tuple({**example, **_of_example(example, history)} for example in found.examples)
    places = tuple({**place, **_of_place(place, history)} for place in found.places)
    return replace(found, examples=examples, places=places)


def _of_example(example: Mapping[str, Any], history: History) -> dict[str, Any]:
    partition, offset = example.get("partition"), example.get("offset")
    if not isinstance(partition, int) or not isinstance(offset, int) or partition < 0:
        return {}
    told: dict[str, Any] = {}
    at_ns = _time(example, history, partition, offset)
    if at_ns is not None:
        if "sent_seconds" not in example:
            told["at_seconds"] = round((at_ns - history.began_ns) / 1e9, 3)
        told |= _circumstances(history, partition, at_ns, at_ns)
    if offset >= 0:
        told |= _neighbours(history, partition, offset)
    return told


def _of_place(place: Mapping[str, Any], history: History) -> dict[str, Any]:
    partition = place.get("partition")
    if not isinstance(partition, int) or partition < 0:
        return {}
    if "seconds_from" in place and place["seconds_from"] >= 0:
        first, last = (int(place[f"seconds_{end}"] * 1e9) + history.began_ns for end in ("from", "to"))
        return _circumstances(history, partition, first, last)
    if "offsets_from" not in place or place["offsets_from"] < 0:
        return {}
    times = [appended(history, partition, place[f"offsets_{end}"]) for end in ("from", "to")]
    known = [at for at in times if at is not None]
    if not known:
        return {}
    seconds = [round((at - history.began_ns) / 1e9, 3) for at in known]
    return {"seconds_from": seconds[0], "seconds_to": seconds[-1]} | _circumstances(
        history, partition, known[0], known[-1]
    )


def _time(example: Mapping[str, Any], history: History, partition: int, offset: int) -> int | None:
    for name in ("ended_seconds", "sent_seconds"):
        if example.get(name, -1) >= 0:
            return int(example[name] * 1e9) + history.began_ns
    return appended(history, partition, offset) if offset >= 0 else None


def appended(history: History, partition: int, offset: int) -> int | None:
    """When the log was first seen to reach beyond an offset, by the samples of lag; None where nobody saw it."""
    try:
        lag = history.lag
    except UndecidedError:
        return None
    if partition not in lag.partitions:
        return None
    beyond = np.flatnonzero(lag.end[lag.partitions.index(partition)] > offset)
    return int(lag.at_ns[beyond[0]]) if len(beyond) else None


def _circumstances(history: History, partition: int, first_ns: int, last_ns: int) -> dict[str, Any]:
    """Who led a partition between two times, and which faults were active; only what was recorded."""
    told: dict[str, Any] = {}
    leaders = history.leaders.get(partition, ())
    before = [leader for at, leader in leaders if at <= first_ns][-1:]
    during = [leader for at, leader in leaders if first_ns < at <= last_ns]
    if before or during:
        names = [f"broker {leader}" if leader is not None else "nobody" for leader in [*before, *during]]
        told["leader"] = ", then ".join(dict.fromkeys(names))
    faults = [
        fault.name
        for fault in history.faults
        if (begin := fault.bites_ns if fault.bites_ns is not None else fault.asked_ns) is not None
        and begin <= last_ns
        and (fault.healed_ns is None or fault.healed_ns >= first_ns)
    ]
    if history.faults:
        told["fault"] = ", ".join(faults) or "none"
    return told


def _neighbours(history: History, partition: int, offset: int) -> dict[str, str]:
    """What stands at a place now, and beside it."""
    columns = ("offset", "producer", "seq", "leader_epoch")
    try:
        rows = history.rows_at("log", partition, offset - _AROUND, offset + _AROUND + 1, columns)
    except UndecidedError:
        return {}
    texts: dict[int, str] = {}
    for row in rows.to_pylist():
        epoch = f" (epoch {row['leader_epoch']})" if row["leader_epoch"] is not None else ""
        text = f"{row['producer']} seq {row['seq']}{epoch}" if row["producer"] else f"no producer{epoch}"
        texts[row["offset"]] = f"{texts[row['offset']]} and {text}" if row["offset"] in texts else text
    return {
        "before it": texts.get(offset - 1, "nothing"),
        "now there": texts.get(offset, "nothing"),
        "after it": texts.get(offset + 1, "nothing"),
    }
