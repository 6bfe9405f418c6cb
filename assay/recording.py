"""What is recorded beside a load and its drain: who leads each partition, the group's lag, and what the consumers do.

The recorders run in the judge's process, so that they do not die with what they watch. A recorder that misses something
says so in the manifest; it neither stops the load nor makes anything up.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from assay.consumer_events import ConsumerEvents
from assay.kafka import lag, leaders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assay.platform import Platform
    from assay.run import Run
    from assay.sampling import Sampling


@contextmanager
def recording(platform: Platform, run: Run, part: str) -> Iterator[None]:
    """Record while the block runs, into ledgers named after `part` of the run.

    A topic that no group consumes has neither lag nor consumers.

    Raises:
        AssayError: Kafka does not answer, has no such topic, or this part was recorded already.
    """
    plan, bootstrap = run.manifest.plan, platform.bootstrap()
    samplers: dict[str, Sampling] = {}
    events: ConsumerEvents | None = None
    try:
        with ExitStack() as stack:
            path = run.folder / f"leaders-{part}.arrows"
            samplers["leaders"] = stack.enter_context(leaders.sampler(bootstrap, plan.topic, path))
            if plan.group:
                path = run.folder / f"lag-{part}.arrows"
                samplers["lag"] = stack.enter_context(lag.sampler(bootstrap, plan.topic, plan.group, path))
                path = run.folder / f"events-{part}.arrows"
                events = stack.enter_context(ConsumerEvents(platform, "analytics", path))
            yield
    finally:
        gaps = [
            f"{name} could not be sampled {sampler.missed} times of {sampler.missed + sampler.taken}"
            for name, sampler in samplers.items()
            if sampler.missed
        ]
        gaps += events.gaps if events is not None else []
        run.note(unobserved=(*run.manifest.unobserved, *(f"{part}: {gap}" for gap in gaps)))
