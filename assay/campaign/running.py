"""Run after run of one experiment on one platform, with a look at its health in between.

It ends early where a run lost something, so that the evidence is looked at before more is made, and where a run could
not be begun, was interrupted, or was the second in a row that could not be judged: the next one would fare no better.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from assay import experiment, report
from assay.campaign.outcome import read
from assay.campaign.page import write_page
from assay.campaign.record import Asked, Record, digest
from assay.chaos import watch
from assay.chaos.control import INTERRUPTED
from assay.errors import AssayError
from assay.kafka import election
from assay.kafka.admin import Admin
from assay.manifest import MANIFEST, Objectives
from assay.platform import TOPIC
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from assay.campaign.outcome import Outcome
    from assay.campaign.series import Series
    from assay.platform import Platform
    from assay.progress import Phases

#: The platform may take so long to be whole again before the next run, in seconds.
HEALTHY_SECONDS: Final = 300.0


def run(
    path: Path,
    platform: Platform,
    folder: Path,
    *,
    runs: int,
    first_seed: int,
    phases: Phases,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> tuple[Record, Series]:
    """Make the runs that the campaign's folder does not have yet.

    Args:
        path: The experiment's file.
        platform: What it is about.
        folder: The campaign's: a new one, or one to go on with.
        runs: How many runs there are to be, with those that the folder has.
        first_seed: Of the first run; each further one has the next.
        phases: Shows progress.
        on_outcome: Is told how each run ended, also of those that there were.

    Raises:
        UsageError: It is no experiment, may not be run there, or the folder holds something else.
        AssayError: The platform does not become whole, or a run left nothing to be judged.
    """
    experiment.load(path)
    asked = Asked(
        experiment=path.name,
        sha256=digest(path),
        first_seed=first_seed,
        context=platform.context,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    record = Record(folder, asked)
    for number in range(1, runs + 1):
        outcome = record.ended(number)
        fresh = outcome is None
        if outcome is None:
            with phases.phase(f"run {number}/{runs}"):
                outcome = _once(path, platform, record, number, phases)
        series = record.series(runs)
        write_page(record, series)
        on_outcome(outcome)
        if series.broken or (fresh and series.stalled):
            break
    return record, record.series(runs)


def _once(path: Path, platform: Platform, record: Record, number: int, phases: Phases) -> Outcome:
    record.make_way(number)
    phases.tell("waiting until the platform is whole")
    await_whole(platform)
    folder, seed = record.run(number), record.seed(number)
    ended = experiment.run_once(path, platform, folder, seed, phases.inside())
    if INTERRUPTED in ended.reason:
        raise AssayError(f"Interrupted in {folder.name}, and healed. Go on with --folder {record.folder}.")
    if not (folder / MANIFEST).exists():
        raise AssayError(f"{path.name} was not begun ({ended.status}): {ended.reason or 'nobody said why'}")
    judgement, _ = report.judged(folder)
    report.write(folder, judgement)
    return read(folder, seed)


def await_whole(platform: Platform) -> None:
    """Wait until every replica is in sync, every consumer there, and each partition led by the broker of its own.

    After a broker's death others lead its partitions, until Kafka looks after some minutes: the next run would begin
    otherwise than the one before, or be interrupted by that look.

    Raises:
        AssayError: That is not so within `HEALTHY_SECONDS`.
    """
    admin = Admin(platform.bootstrap())
    wanted = Objectives().replicas
    amiss: list[str] = []

    def whole() -> bool:
        try:
            found = watch.unwhole(platform, admin, wanted) or restore_leaders(admin)
        except AssayError as error:
            found = str(error).rstrip(".")
        amiss[:] = [found] if found else []
        return not found

    try:
        wait_until(whole, HEALTHY_SECONDS, "")
    except AssayError:
        raise AssayError(
            f"The platform is not whole after {HEALTHY_SECONDS:.0f} s, so that no run can begin: {amiss[0]}."
        ) from None


def restore_leaders(admin: Admin) -> str | None:
    """Elect the preferred leaders of partitions that others lead, and say which these are, in a clause; None: none.

    Raises:
        AssayError: Kafka does not answer.
    """
    strayed = sorted(number for number, one in admin.partitions(TOPIC).items() if one.strayed)
    if not strayed:
        return None
    election.elect_preferred(admin.bootstrap, TOPIC, strayed)
    return f"of {TOPIC}, {', '.join(map(str, strayed))} are not led by their preferred broker"
