"""One experiment in this process: on which platform, what it has begun, and how all of it ends.

Chaos Toolkit calls functions and hands nothing from one to the next, so what they share stands here: `current()` opens
it when it is first asked for, and `close` ends it. Opening asks for consent and takes the cluster's lease, so that no
action can do harm without these, whoever calls it.
"""

from __future__ import annotations

import contextlib
import json
import os
from contextlib import ExitStack, contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from kubernetes import client
from rich.console import Console

from assay import report, stages
from assay import run as runs
from assay.chaos import catalogue, consent, environment, foreign
from assay.chaos.background import BackgroundLoad
from assay.chaos.foreign import Foreign, Watching
from assay.chaos.injections import Injections, noted
from assay.chaos.lease import HELD_SECONDS, Lease
from assay.chaos.node import on_this_machine
from assay.chaos.node_pods import NAMESPACE, NodePods
from assay.errors import AssayError, UsageError
from assay.kafka.admin import Admin
from assay.manifest import Objectives, Plan
from assay.memory import PeakMemory
from assay.platform import GROUP, PARTITIONS, TOPIC
from assay.progress import Phases

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from assay.chaos.catalogue import Limits, Plain
    from assay.chaos.environment import Environment
    from assay.chaos.faults import Fault
    from assay.chaos.node import Node, Nodes
    from assay.run import Run
    from assay.verdict import Verdict

#: Where a run's faults stand.
FAULTS: Final = "faults.arrows"
#: The experiment as it was written.
DOCUMENT: Final = "experiment.json"
_EXTENSION: Final = "assay"
_SEED: Final = "seed"


class Session:
    """An experiment that was let in.

    Attributes:
        platform: What it is about.
        environment: What was asked for.
        phases: Shows progress and keeps times.
        run: The run that it is recorded as; None: nothing was recorded yet.
        load: Its load; None: it was not started yet.
        sealed: Whether the evidence is whole.
        document: The experiment as it was written, if anybody said so: it becomes part of the evidence.
        failed: What went wrong first, in a sentence; None: nothing did.
        hurried: Whether it is to end at once: what was recorded is sealed, and nothing more is waited for.
    """

    def __init__(self, asked: Environment, phases: Phases) -> None:
        """Ask for consent, and, unless this is a dry run, take the lease. Nothing is touched where either is refused.

        Raises:
            UsageError: It is not allowed, or another experiment runs.
            AssayError: Cluster or platform do not answer.
        """
        cluster = asked.cluster()
        self.environment = asked
        self.phases = phases
        self.run: Run | None = None
        self.load: BackgroundLoad | None = None
        self.sealed = False
        self._judged = False
        self.document: dict[str, Any] | None = None
        self.failed: str | None = None
        self.hurried = False
        self._made_here = environment.made_here(cluster)
        consent.check_context(cluster.context, asked.allowed_contexts(), ours=self._made_here is not None)
        self.platform = environment.platform_on(cluster, asked.namespace)
        consent.check_namespace(self.platform)
        self._injections = Injections(lambda: self.folder / FAULTS)
        self._folder: Path | None = None
        self._stack = ExitStack()
        self._memory = self._stack.enter_context(PeakMemory())
        self._lease = Lease(client.CoordinationV1Api(self.platform.core.api_client), NAMESPACE)
        self._nodes: Nodes = _no_node
        # Tools that connect by themselves (chaosk8s) are led to the same cluster.
        os.environ["KUBECONFIG"], os.environ["KUBERNETES_CONTEXT"] = str(cluster.kubeconfig), cluster.context
        try:
            if not asked.dry_run:
                self._enter()
        except BaseException:
            self._stack.close()
            raise

    @property
    def nodes(self) -> Nodes:
        """The cluster's nodes; in a dry run none can be had."""
        return self._nodes

    @property
    def folder(self) -> Path:
        """The run's folder, made when it is first asked for.

        Raises:
            UsageError: It can't be had, or holds something already.
        """
        if self._folder is None:
            self._folder = runs.claim(self.environment.run_folder or runs.default())
        return self._folder

    def begin(self, messages: int, rate: float) -> Run:
        """The run, begun if it was not, with a load of so many messages at so many a second.

        Raises:
            UsageError: Its folder can't be had.
        """
        usual = Objectives()
        plan = Plan(
            messages=messages,
            rate_per_second=rate,
            seed=self.environment.seed,
            topic=TOPIC,
            group=GROUP,
            partitions=PARTITIONS,
        )
        # What a load is not asked for, it can't reach.
        slower = min(usual.throughput_per_second, rate) if rate else usual.throughput_per_second
        recovery = recovery_objectives(self.document or {})
        objectives = usual.model_copy(
            update={
                "throughput_per_second": slower,
                "peak_lag_messages": waiting(usual.peak_lag_messages, rate, recovery),
                "recovery_seconds": recovery,
            }
        )
        if self.run is None:
            plan = plan.model_copy(update={"parts": ()})
            kind = "embedded" if self._made_here is not None else "existing"
            facts = {"kind": kind, "name": self.platform.context, "context": self.platform.context}
            self.run = runs.begin(self.folder, plan, objectives, facts)
            if self.document is not None:
                (self.run.folder / DOCUMENT).write_text(json.dumps(self.document, indent=2, default=str) + "\n")
        else:
            plan = plan.model_copy(update={"parts": self.run.manifest.plan.parts})
            self.run.note(plan=plan, objectives=objectives)
        return self.run

    def part(self, name: str) -> Run:
        """The run, of which something beside the load is a part from now on; see `assay.manifest.Plan`.

        Raises:
            UsageError: Its folder can't be had.
        """
        run = self.run or self.begin(0, 0)
        plan = run.manifest.plan
        if name not in plan.parts:
            run.note(plan=plan.model_copy(update={"parts": (*plan.parts, name)}))
        return run

    def start_load(self, messages: int, rate: float) -> None:
        """Start the load, and wait until it sends.

        Raises:
            UsageError: It was started already, or the folder can't be had.
            AssayError: It does not come to send anything.
        """
        if self.load is not None:
            raise UsageError("The load was started already: an experiment has one.")
        self.load = BackgroundLoad(self.platform, self.begin(messages, rate), self.phases)

    def build(self, name: str, **arguments: Plain) -> Fault:
        """A fault of the catalogue on whom it would hit now, who consents; nothing is changed.

        Args:
            name: Its name.
            arguments: What it takes; its seed is that of the experiment where none is given.

        Raises:
            UsageError: There is no such fault, it does not take that, nobody has the role, or who has it refuses.
            AssayError: Kafka or Kubernetes do not answer, or whom it is to hit does not run.
        """
        if any(one.name == _SEED for one in catalogue.entry(name).arguments):
            arguments = {_SEED: self.environment.seed, **arguments}
        admin = Admin(self.platform.bootstrap())
        given: dict[str, Any] = dict(arguments)
        fault = catalogue.build(name, self.platform, self.nodes, admin, machines=self._made_here, **given)
        consent.check_target(self.platform, str(fault.target))
        return fault

    def inject(self, name: str, seconds: float, **arguments: Plain) -> str:
        """Inject a fault that ends by itself after so many seconds, and wait until it bites; once a name.

        Returns:
            Who was hit.

        Raises:
            UsageError: Its target does not consent, or it makes no sense as asked; nothing was changed.
            AssayError: It can't be injected, or was not seen to bite in time.
        """
        hit = self._injections.target(name)
        if hit is not None:
            return hit
        self.inject_fault(name, self.build(name, **arguments), seconds, catalogue.limits(name))
        return self._injections.target(name) or ""

    def inject_fault(self, name: str, fault: Fault, seconds: float, limits: Limits) -> None:
        """The same with a fault that need not be of the catalogue, whose target consents.

        Raises:
            UsageError: It makes no sense as asked, or its target does not consent; nothing was changed.
            AssayError: It can't be injected, or was not seen to bite in time.
        """
        consent.check_target(self.platform, str(fault.target))
        self._lease.cover(seconds + HELD_SECONDS)
        self._injections.add(name, fault, limits["heal_seconds"]).begin(seconds, limits["bite_seconds"])

    def watch_foreign(self, name: str, kind: str) -> Watching:
        """Watch, beside whoever does it, what another extension is about to do to the platform's pods.

        Args:
            name: Of the fault in the ledger.
            kind: What the other one calls it.

        Raises:
            AssayError: The pods can't be looked up, or the lease is lost.
        """
        self._lease.check()
        return Watching(self._injections.add(name, Foreign(self.platform, kind), foreign.HEAL_SECONDS))

    def heal(self, name: str | None = None) -> None:
        """Heal a fault, or everything, and wait until that is seen; any number of times.

        Raises:
            AssayError: Something was not seen healed in time; the others were healed all the same.
        """
        self._injections.heal(name)

    def finish_load(self) -> None:
        """End the load on purpose, and wait until it knows how every send ended.

        Raises:
            AssayError: It broke.
        """
        if self.load is not None:
            self.load.finish()

    def collect(self) -> None:
        """Drain, read everything back and seal it, as far as that can be done; once.

        Healing comes first, whatever else fails. In a hurry, what was recorded is only sealed.

        Raises:
            AssayError: Something could not be done; what there is, is sealed, and says so.
        """
        if self.sealed:
            return
        problems: list[str] = []
        with noted(problems):
            self.heal()
        if self.run is None:
            return
        self._end_load(problems)
        self._seal(problems)
        if problems:
            raise AssayError(" ".join(problems))

    def judge(self) -> Verdict:
        """The verdict on the sealed evidence; it, and the report, are written beside that.

        Raises:
            UsageError: There is no evidence yet.
        """
        if not self.sealed:
            raise UsageError("There is nothing to judge yet: collect_evidence comes before.")
        judgement, _ = report.judged(self.folder)
        report.write(self.folder, judgement)
        self._judged = True
        return judgement.verdict

    def close(self) -> None:
        """Heal what is left, end what still runs, judge what there is, and give the lease up; once more is fine."""
        with contextlib.suppress(AssayError):
            self.heal()
        if self.load is not None:
            self.load.stop()
        self._injections.close()
        if self.run is not None and not self.sealed:
            self._seal(["The experiment ended before its evidence was collected."])
        self._injections.undo()
        self._stack.close()
        if self.sealed and not self._judged:
            self.judge()

    def _enter(self) -> None:
        """Take the lease in its namespace. The namespace is removed only by who held the lease in it."""
        self._lease.refuse_if_held()
        pods = NodePods(self.platform)
        pods.__enter__()
        self._lease.acquire()
        self._stack.callback(self._lease.release)
        self._stack.push(pods)  # first to be left: whoever waits for the lease's end finds the namespace going, or gone
        if self._made_here is None:
            self._nodes = pods
        else:
            self._nodes = _here

    def _end_load(self, problems: list[str]) -> None:
        """The load's end, the drain and the read-back; what can't be done is a problem, and the rest goes on."""
        run, load = self.run, self.load
        if run is not None and load is not None and self.hurried:
            load.stop()
        elif run is not None and load is not None:
            with noted(problems):
                load.finish()
            with noted(problems), self.phases.phase("drain"):
                stages.drain(self.platform, run, self.phases)
            load.end_recording()
            with noted(problems), self.phases.phase("collect"):
                audit_log = self._made_here.audit_log if self._made_here is not None else None
                stages.collect(self.platform, run, self.phases, audit_log)
        self._injections.close()

    def _seal(self, problems: list[str]) -> None:
        if self.run is not None:
            problems = [self.failed, *problems] if self.failed else problems
            if problems:
                self.run.note(stopped=" ".join(problems))
            stages.seal(self.run, self.phases, self._memory.bytes)
            self.sealed = True


def _here(name: str) -> Node:
    return on_this_machine(name)


def _no_node(name: str) -> Node:
    raise AssayError(f"The node {name} is not asked for anything in a dry run.")


def recovery_objectives(document: dict[str, Any]) -> dict[str, float]:
    """By fault, how soon after its bite full service has to be back, as an experiment's extension says it (pure)."""
    ours = [one for one in document.get("extensions") or () if one.get("name") == _EXTENSION]
    return {str(one["fault"]): float(one["objective_seconds"]) for one in ours if "objective_seconds" in one}


def waiting(usual: int, rate: float, recovery: Mapping[str, float]) -> int:
    """How many messages may wait at most: what is sent while service may be away, or what may anyway (pure)."""
    return max([usual, *(ceil(rate * seconds) for seconds in recovery.values())])


_open: list[Session] = []
_configured: list[tuple[Environment, Phases]] = []


def current(*, dry: bool = False) -> Session:
    """The experiment of this process, opened if it is not; `dry`: as one that only says what it would hit.

    Raises:
        UsageError: It is not allowed, or another experiment runs; nothing was touched.
        AssayError: Cluster or platform do not answer.
    """
    if not _open:
        asked, phases = _configured[-1] if _configured else (environment.read(), _shown())
        _open.append(Session(asked.model_copy(update={"dry_run": True}) if dry else asked, phases))
    return _open[-1]


def opened() -> Session | None:
    """The experiment of this process, if it is open."""
    return _open[-1] if _open else None


def close() -> None:
    """End the experiment of this process, if there is one."""
    while _open:
        _open.pop().close()


@contextmanager
def configured(asked: Environment, phases: Phases) -> Iterator[None]:
    """While the block runs, an experiment of this process is opened so, and not as the environment says."""
    _configured.append((asked, phases))
    names = ("KUBECONFIG", "KUBERNETES_CONTEXT")
    before: dict[str, Any] = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        _configured.pop()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _shown() -> Phases:
    """Progress among Chaos Toolkit's own lines: a line when something ends, and one now and then while it lasts."""
    return Phases(Console(stderr=True, force_terminal=False))
