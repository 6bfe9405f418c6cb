"""The load: what may be asked of it, and running it with Locust as a process of its own.

The load is a locustfile (`locustfiles/commodity_prices.py`), so that it can also be run, watched and steered with
Locust alone. `run_load` runs the same file headless. What a process says of itself while it runs is only shown as
progress: what it did is in the ledgers.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from assay.errors import AssayError, UsageError
from assay.kafka import identity, overrides
from assay.verdict import EXIT_USAGE
from assay.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from assay.manifest import Plan

LOCUSTFILE: Final = Path("locustfiles") / "commodity_prices.py"
#: Producers of a load are named so, with the number of their process behind.
PRODUCER: Final = "load"
#: Where Locust's own words go, in the run's folder.
LOG_NAME: Final = "locust.log"
#: How long a load that was told to stop may take to write down what it still learns, in seconds.
STOP_SECONDS: Final = 20.0
#: How long a load whose command was killed may go on: it notices within a second, and learns what is on its way.
END_SECONDS: Final = 30.0

DEFAULTS: Final[Mapping[str, str]] = {
    "bootstrap": "127.0.0.1:9092",
    "topic": "commodity-prices",
    "messages": "100000",
    "rate": "10000",
    "batch_size": "0",
    "seed": "1",
    "run_id": "",
    "run_folder": "",
}
_MOST_IN_A_BATCH: Final = 10_000
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


@dataclass(frozen=True)
class LoadSettings:
    """What a load is to do, checked. Empty `run_id` and None as `run_folder` leave them to the load.

    `producer_settings` are librdkafka's, over the usual ones.
    """

    bootstrap: str
    topic: str
    messages: int
    rate_per_second: float
    batch_size: int
    seed: int
    run_id: str
    run_folder: Path | None
    producer_settings: Mapping[str, str]

    @classmethod
    def parse(cls, words: Mapping[str, str], producer_settings: Sequence[str] = ()) -> Self:
        """Check what a user wrote, by option (as in `DEFAULTS`), and the producer's settings as NAME=VALUE.

        Raises:
            UsageError: A value makes no sense; the sentence names the option.
        """
        run_id = words["run_id"].strip()
        if run_id and not _RUN_ID.fullmatch(run_id):
            raise UsageError(
                f"--run-id {run_id!r} can't be used: it may have letters, digits, dots, dashes and underscores only."
            )
        folder = words["run_folder"].strip()
        return cls(
            bootstrap=_present("--bootstrap", words["bootstrap"], "give the brokers' addresses, host:port,..."),
            topic=_present("--topic", words["topic"], "give the topic to send to"),
            messages=_whole("--messages", words["messages"], 1),
            rate_per_second=_rate(words["rate"]),
            batch_size=_whole("--batch-size", words["batch_size"], 0, _MOST_IN_A_BATCH),
            seed=_whole("--seed", words["seed"], 0),
            run_id=run_id,
            run_folder=Path(folder) if folder else None,
            producer_settings=overrides.parse(producer_settings),
        )


def _present(option: str, word: str, advice: str) -> str:
    if not word.strip():
        raise UsageError(f"{option} is empty: {advice}.")
    return word.strip()


def _whole(option: str, word: str, least: int, most: int | None = None) -> int:
    bounds = f"a whole number of at least {least}" + (f" and at most {most}" if most is not None else "")
    try:
        number = int(word)
    except ValueError:
        raise UsageError(f"{option} {word!r} is no number: give {bounds}.") from None
    if number < least or (most is not None and number > most):
        raise UsageError(f"{option} {number} is out of range: give {bounds}.")
    return number


def _rate(word: str) -> float:
    advice = "give messages a second, in all, or 0 for as fast as it goes"
    try:
        rate = float(word)
    except ValueError:
        raise UsageError(f"--rate {word!r} is no number: {advice}.") from None
    if not math.isfinite(rate) or rate < 0:
        raise UsageError(f"--rate {word} is out of range: {advice}.")
    return rate


def check_folder(folder: Path) -> None:
    """Make sure that a run's folder holds no load yet.

    Raises:
        UsageError: It does, or it is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: give a run folder of its own.")
    used = next(folder.glob("attempts.*"), None)
    if used is not None:
        raise UsageError(f"The run folder {folder} is in use: it holds {used.name} already. Give a new one.")


def home() -> Path:
    """The folder that holds `locustfiles`: `$ASSAY_HOME`, else the checkout this package runs from.

    Raises:
        UsageError: There is no locustfile.
    """
    named = os.environ.get("ASSAY_HOME")
    folder = Path(named) if named else Path(__file__).resolve().parent.parent
    if not (folder / LOCUSTFILE).is_file():
        where = "$ASSAY_HOME" if named else "the folder of the installed package"
        raise UsageError(f"There is no {LOCUSTFILE} in {folder} ({where}): set ASSAY_HOME to a checkout of Assay.")
    return folder


@dataclass(frozen=True)
class Progress:
    """How far a load is, over all its processes."""

    attempted: int
    ok: int
    fail: int
    total: int


def parse_event(line: str) -> dict[str, Any] | None:
    """One line of the load's standard output as an event, or None if it is something else (pure)."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("assay"), str) else None


def total_progress(latest: Mapping[str, Mapping[str, Any]], total: int) -> Progress:
    """The sum over all producers' latest progress events (pure)."""
    return Progress(
        attempted=sum(event["attempted"] for event in latest.values()),
        ok=sum(event["ok"] for event in latest.values()),
        fail=sum(event["fail"] for event in latest.values()),
        total=total,
    )


def command(
    plan: Plan, bootstrap: str, folder: Path, run_id: str, *, processes: int = 1, batch_size: int | None = None
) -> list[str]:
    """The command that runs a load headless.

    Raises:
        UsageError: There is no locustfile.
    """
    words = [
        *(sys.executable, "-m", "locust", "--locustfile", str(home() / LOCUSTFILE)),
        *("--headless", "--only-summary", "--loglevel", "INFO", "--progress-lines"),
        *("--bootstrap", bootstrap, "--topic", plan.topic),
        *("--messages", str(plan.messages), "--rate", repr(plan.rate_per_second), "--seed", str(plan.seed)),
        *("--run-id", run_id, "--run-folder", str(folder)),
        *(f"{overrides.OPTION}={name}={value}" for name, value in plan.producer_settings.items()),
    ]
    if batch_size is not None:
        words += ["--batch-size", str(batch_size)]
    if processes > 1:
        words += ["--processes", str(processes), "--master-bind-host", "127.0.0.1"]
    return words


class Brake:
    """Ends a load that another thread runs; safe from any thread."""

    def __init__(self) -> None:
        """Nothing is asked yet."""
        self.asked: signal.Signals | None = None

    def finish(self) -> None:
        """Send nothing more, and learn how every send ended, as after the last message."""
        self.asked = self.asked or signal.SIGUSR1

    def stop(self) -> None:
        """Send nothing more, and learn only what is known soon, as when interrupted."""
        self.asked = signal.SIGTERM


def run_load(
    plan: Plan,
    bootstrap: str,
    folder: Path,
    run_id: str,
    *,
    processes: int = 1,
    batch_size: int | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    brake: Brake | None = None,
) -> int | None:
    """Run the load of `plan`; what it did is in the ledgers that it leaves.

    Locust's own log stays in the folder as `locust.log`. When this is interrupted, the load is told to stop and gets
    `STOP_SECONDS` to write down what it still learns.

    Args:
        plan: What to send where.
        bootstrap: Addresses of the brokers, for clients outside the cluster.
        folder: The run's folder, which exists and holds no load yet.
        run_id: The run's id.
        processes: How many processes send (Locust's workers).
        batch_size: Messages of one intended time; None for the locustfile's default.
        on_progress: Is told how far the load is, about twice a second.
        brake: Ends it before all is sent.

    Returns:
        After how many sends it ended because `Brake.finish` asked for it, by its own count; None: it was not asked.

    Raises:
        UsageError: The plan can't be carried out as it is, or the folder is in use.
        AssayError: The load did not come to send anything.
    """
    folder = folder.resolve()
    check_folder(folder)
    words = command(plan, bootstrap, folder, run_id, processes=processes, batch_size=batch_size)
    brake = brake or Brake()
    errors: list[str] = []
    with (folder / LOG_NAME).open("w") as log, tempfile.TemporaryDirectory(prefix="assay-load-") as elsewhere:
        # Locust's processes inherit the open file, and with it the lock: it is held until the last of them has ended.
        fcntl.flock(log, fcntl.LOCK_EX)
        # Locust reads locust.conf and pyproject.toml from where it starts: a folder that holds none.
        process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            stderr=log,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=elsewhere,
            env=_environment(plan.topic),
        )
        try:
            attempted = _follow(process, plan.messages, on_progress, errors, brake)
            exit_code = process.wait()
        finally:
            _stop(process)
    ended = exit_code in (0, 1) or brake.asked is signal.SIGTERM
    if not ended or not any(folder.glob("attempts.*.arrows")):
        sentence = errors[-1] if errors else f"The load ended with exit code {exit_code}: {_tail(folder / LOG_NAME)}"
        raise (UsageError if exit_code == EXIT_USAGE else AssayError)(sentence)
    return attempted if brake.asked is signal.SIGUSR1 else None


def await_end(folder: Path, timeout: float = END_SECONDS) -> None:
    """Wait until no process of a load writes into a run's folder any more: one may outlive the command that began it.

    Raises:
        AssayError: It still runs after `timeout` seconds.
    """
    path = folder / LOG_NAME
    if not path.exists():
        return
    with path.open() as log:
        wait_until(
            lambda: _free(log),
            timeout,
            f"The load of {folder} still runs: wait for its end, or end it, and try again.",
        )


def _free(log: TextIO) -> bool:
    try:
        fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _environment(topic: str) -> dict[str, str]:
    """The process's environment: ours, without settings of Locust that would change what is run.

    To the platform's own topic it sends as one who may do just that; to others, that one may not.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    if topic == DEFAULTS["topic"]:
        kept = identity.producer(kept)
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [str(home()), os.environ.get("PYTHONPATH", "")]))}


def _follow(
    process: subprocess.Popen[str],
    total: int,
    on_progress: Callable[[Progress], None],
    errors: list[str],
    brake: Brake,
) -> int | None:
    """Read what the load says until it says no more; returns how many sends it counted in the end."""
    latest: dict[str, Mapping[str, Any]] = {}
    told: signal.Signals | None = None
    attempted: int | None = None
    for line in process.stdout or ():
        event = parse_event(line)
        if event is None:
            continue
        if event["assay"] == "error":
            errors.append(event["message"])
        elif event["assay"] == "end":
            attempted = event["attempted"]
        elif event["assay"] == "progress":
            latest[event["producer"]] = event
            on_progress(total_progress(latest, total))
            # Only one that sends has a handler for the signal: before, it would just die of it.
            if brake.asked is not told:
                told = brake.asked
                process.send_signal(told or 0)
    return attempted


def _stop(process: subprocess.Popen[str]) -> None:
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()


def _tail(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
