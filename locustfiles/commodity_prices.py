"""Exactly N commodity prices into a Kafka topic, at a set rate, with every send written down.

By itself, with the web UI at http://localhost:8089, or headless:

    locust -f locustfiles/commodity_prices.py --bootstrap 127.0.0.1:9092
    locust -f locustfiles/commodity_prices.py --headless --messages 100000 --rate 10000 --bootstrap 127.0.0.1:9092

`assay load` runs it headless. It ends by itself once all messages are sent and their ends learnt; its exit code is 0
if every send was acknowledged, 1 if not, 254 if it was asked for something that can't be done. Each run's ledgers are
in a folder of their own, `runs/<run id>` by default. With `--processes N`, or with a master and workers, each worker
sends its share of the exact total; every worker needs a user (`-u`, by default as many as there are workers). SIGUSR1
ends the load before all is sent: it still learns how every send ended.

Users only take turns: all of a process's sends go through one producer in one thread beside gevent's, since librdkafka
blocks the thread that calls it. The rate is `--rate`, whatever the number of users. Locust's figures are per message:
from the time at which the schedule wanted it sent to its acknowledgement.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool
from locust import User, constant, events, task
from locust.runners import STATE_MISSING, LocalRunner, MasterRunner, WorkerRunner

from assay.errors import AssayError, UsageError
from assay.kafka import overrides
from assay.kafka.admin import Admin
from assay.ledger import Outcome
from assay.load import DEFAULTS, PRODUCER, LoadSettings, check_folder
from assay.pacing import batch_size, share
from assay.sender import Orders, Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from locust.argument_parser import LocustArgumentParser
    from locust.env import Environment
    from locust.runners import Runner

    from assay.kafka.ends import Ends

Result = TypeVar("Result")

HELP: Final = {
    "bootstrap": "Kafka's addresses, host:port,...",
    "topic": "where to send",
    "messages": "how many messages in all, over all users and workers",
    "rate": "messages a second in all; 0: as fast as it goes",
    "batch_size": "messages that share one intended time; 0: what is due in 10 ms, or 1000 when unpaced",
    "seed": "seed of the made-up prices",
    "run_id": "the run's id; by default made from the time",
    "run_folder": "where the ledgers go; by default runs/<run id>",
}
#: After the last send: as long as librdkafka itself may still try, and this.
SETTLE_SECONDS: Final = 5.0
#: When told to stop: long enough for acknowledgements that are on their way.
STOP_SECONDS: Final = 8.0
PROGRESS_SECONDS: Final = 0.5
DONE, SHARE, FINISH = "assay-done", "assay-share", "assay-finish"


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """The load's own options, each also an environment variable `ASSAY_...`; words, checked when the load starts."""
    for name, default in DEFAULTS.items():
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, default=default, help=HELP[name], env_var="ASSAY_" + name.upper())
    parser.add_argument(
        overrides.OPTION,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        include_in_web_ui=False,
        help="a setting of librdkafka's over the usual ones, to show what an unsafe producer does; repeatable",
    )
    parser.add_argument(
        "--progress-lines",
        action="store_true",
        include_in_web_ui=False,
        help="print progress and errors as JSON lines, for a program that watches",
    )


class CommodityPrices(User):
    """Takes turns at sending until the load is done."""

    wait_time = constant(0)
    host = "kafka"  # Locust's host is for HTTP; Kafka's addresses are --bootstrap

    @task
    def send(self) -> None:
        """One turn: a twentieth of a second's batches."""
        LOADS[self.environment].take_turn()


class Load:
    """The load in one process: alone, as a worker, or as the master that hands out the shares."""

    def __init__(self, environment: Environment, runner: Runner) -> None:
        """Check the options at once when headless and alone, so that nothing starts that can't be carried out.

        A master checks when its workers are there: before that it can't tell them to leave.
        """
        self.environment = environment
        self.runner = runner
        self.options: Any = environment.parsed_options
        self.pool = ThreadPool(1)
        self.sender: Sender | None = None
        self.ready = Event()
        self.all_sent = Event()
        self.over = False
        self.early = False
        self.closed = Event()
        self.deadline = 0.0
        self.prepared: tuple[LoadSettings, int, str, Path] | None = None
        self.reports: dict[str, dict[str, Any]] = {}
        if self.options.headless and isinstance(runner, LocalRunner):
            try:
                self.prepared = self.prepare()
            except AssayError as error:
                self.complain(error)
                sys.exit(_exit_code(error))
        if isinstance(runner, MasterRunner):
            runner.register_message(DONE, self.on_done)
            # Locust's default of one user would leave all workers but one without work.
            users = max(self.options.num_users or 1, self.options.expect_workers)
            self.options.num_users, self.options.spawn_rate = users, self.options.spawn_rate or users
        if isinstance(runner, WorkerRunner):
            runner.register_message(SHARE, self.on_share, concurrent=True)
            runner.register_message(FINISH, lambda **_: self.finish())

    def prepare(self) -> tuple[LoadSettings, int, str, Path]:
        """Check options, folder and topic, and only then make the folder.

        Raises:
            UsageError: An option makes no sense, or the folder is in use.
            AssayError: Kafka does not answer, or has no such topic.
        """
        words = {name: str(getattr(self.options, name) or "") for name in DEFAULTS}
        settings = LoadSettings.parse(words, self.options.producer_setting)
        run_id = settings.run_id or f"load-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        folder = (settings.run_folder or Path("runs") / run_id).absolute()
        check_folder(folder)
        partitions = len(Admin(settings.bootstrap).topic(settings.topic).partitions)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"The run folder {folder} can't be made: {error.strerror}.") from None
        return settings, partitions, run_id, folder

    def beside(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function that blocks, in the one thread beside gevent's; others go on meanwhile.

        Raises:
            AssayError: The function did.
        """
        result = self.pool.apply(_caught, (function, *arguments))
        if isinstance(result, AssayError):
            raise result
        return result

    # Starting

    def on_test_start(self) -> None:
        """Begin, or hand out the shares; a worker waits for its own."""
        if isinstance(self.runner, WorkerRunner):
            return
        try:
            self.ready.clear()
            self.all_sent.clear()
            self.over = self.early = False
            prepared, self.prepared = self.prepared or self.beside(self.prepare), None
            self.begin_all(*prepared)
        except AssayError as error:
            self.complain(error)
            self.environment.process_exit_code = _exit_code(error)
            self.over = True
            self.end()

    def begin_all(self, settings: LoadSettings, partitions: int, run_id: str, folder: Path) -> None:
        """Begin alone, or as master tell each worker its share.

        Raises:
            UsageError: There are more workers than users: some shares would stay unsent.
        """
        workers: list[str] = []
        if isinstance(self.runner, MasterRunner):
            clients = self.runner.clients
            workers = sorted(client.id for client in clients.ready + clients.spawning + clients.running)
            if self.runner.target_user_count < len(workers):
                raise UsageError(f"{len(workers)} workers need at least {len(workers)} users: give -u {len(workers)}.")
        observed_from = datetime.now(UTC).replace(microsecond=0)
        self.reports = {}
        for index in range(max(1, len(workers))):
            messages = share(settings.messages, max(1, len(workers)), index)
            orders = {
                "bootstrap": settings.bootstrap,
                "topic": settings.topic,
                "partitions": partitions,
                "run_id": run_id,
                "producer": f"{PRODUCER}-{index}",
                "messages": messages,
                "rate_per_second": settings.rate_per_second * messages / settings.messages,
                "batch_size": settings.batch_size or batch_size(settings.rate_per_second, max(1, len(workers))),
                "seed": settings.seed,
                "observed_from": observed_from.isoformat(),
                "folder": str(folder),
                "producer_settings": settings.producer_settings,
            }
            if workers:
                self.runner.send_message(SHARE, orders, client_id=workers[index])
            else:
                self.begin(orders)
        self.say("begin", run_id=run_id, folder=str(folder))
        if workers:
            gevent.spawn(self.await_workers, workers)

    def begin(self, orders: dict[str, Any]) -> None:
        """Carry orders out, as fast as users take their turns."""
        words = orders | {
            "folder": Path(orders["folder"]),
            "observed_from": datetime.fromisoformat(orders["observed_from"]),
        }
        words["folder"].mkdir(parents=True, exist_ok=True)  # a worker on another machine has its own
        self.over = False
        self.closed.clear()
        self.all_sent.clear()
        self.sender = self.beside(Sender, Orders(**words))
        self.ready.set()
        gevent.spawn(self.await_end)

    def on_share(self, environment: Environment, msg: Any) -> None:  # noqa: ARG002  # Locust names the arguments
        """A worker's orders from the master."""
        try:
            self.begin(msg.data)
        except AssayError as error:
            self.complain(error)
            self.runner.send_message(DONE, {"attempted": 0, "ok": 0, "fail": 0, "messages": msg.data["messages"]})

    # Sending

    def take_turn(self) -> None:
        """Send for a while, then give Locust what ended; without anything left to send, wait for the end."""
        self.ready.wait()
        sender = self.sender
        if sender is None or sender.sent:
            self.all_sent.set()
            gevent.sleep(0.2)
            return
        self.count(self.beside(sender.turn))

    def count(self, ends: Ends) -> None:
        """Tell Locust of each ended send."""
        fire, name = self.environment.events.request.fire, self.options.topic
        latencies_ms = ((ends.ended_ns - ends.intended_ns) / 1e6).tolist()
        for seq, outcome, latency_ms in zip(ends.seq.tolist(), ends.outcome.tolist(), latencies_ms, strict=True):
            problem = (
                None if outcome == Outcome.OK else AssayError(f"{Outcome(outcome).name.lower()}: {ends.errors[seq]}")
            )
            fire(
                request_type="kafka",
                name=name,
                response_time=latency_ms,
                response_length=0,
                exception=problem,
                context={},
            )

    # Ending

    def await_end(self) -> None:
        """Show progress while users send; then learn the last ends, close the ledgers and end the load."""
        sender = self.sender
        if sender is None:
            return
        while not self.all_sent.wait(PROGRESS_SECONDS) and not self.over:
            self.progress(sender)
        self.close(overrides.patience_seconds(sender.orders.producer_settings) + SETTLE_SECONDS)

    def close(self, seconds: float) -> None:
        """Wait for outstanding ends, at most so long, close the ledgers, and report; once."""
        sender = self.sender
        if sender is None or self.over:
            return
        self.over = True
        self.deadline = time.monotonic() + seconds
        while sender.outstanding and (left := self.deadline - time.monotonic()) > 0:
            self.count(self.beside(sender.settle, min(left, PROGRESS_SECONDS)))
            self.progress(sender)
        self.count(self.beside(sender.finish))
        self.closed.set()
        self.progress(sender)
        counts, messages = sender.counts, sender.orders.messages
        self.report({"attempted": counts.attempted, "ok": counts.ok, "fail": counts.fail, "messages": messages})

    def report(self, report: dict[str, Any]) -> None:
        """To the master, or, alone, to the user; then the load is over."""
        if isinstance(self.runner, WorkerRunner):
            self.runner.send_message(DONE, report)
        else:
            self.reports = {"local": report}
            self.conclude(report["messages"], lost=0)

    def on_done(self, environment: Environment, msg: Any) -> None:  # noqa: ARG002  # Locust names the arguments
        """A worker's report."""
        self.reports[msg.node_id] = msg.data

    def await_workers(self, workers: list[str]) -> None:
        """As master, wait until every worker has reported or is gone."""
        while not self.over:
            waiting = [worker for worker in workers if worker not in self.reports]
            gone = [worker for worker in waiting if self.gone(worker)]
            if len(gone) == len(waiting):
                self.over = True
                self.conclude(sum(report["messages"] for report in self.reports.values()), lost=len(gone))
                return
            gevent.sleep(0.1)

    def gone(self, worker: str) -> bool:
        """Whether the master has lost a worker."""
        client = self.runner.clients.get(worker)
        return client is None or client.state == STATE_MISSING

    def conclude(self, messages: int, lost: int) -> None:
        """Say how it ended, set the exit code, and end the run."""
        attempted, ok, fail = (
            sum(report[key] for report in self.reports.values()) for key in ("attempted", "ok", "fail")
        )
        unknown = attempted - ok - fail
        messages = attempted if self.early and not lost else messages
        whole = ok == messages and not lost
        self.environment.process_exit_code = 0 if whole else 1
        words = f"{ok} of {messages} messages were acknowledged"
        if not whole:
            words += f"; {fail} failed, {unknown} are unknown, {messages - attempted} were not sent"
        if lost:
            words += f"; {lost} workers are gone, and of their shares nothing is known here"
        self.say("end", message=f"{words}.", attempted=attempted, ok=ok, fail=fail, unknown=unknown, messages=messages)
        self.end()

    def end(self) -> None:
        """Stop the run; headless, leave Locust too."""
        gevent.spawn(self.runner.quit if self.options.headless else self.runner.stop)

    def finish(self) -> None:
        """Asked to end before all is sent, and on purpose: learn how every send ended, as after the last message."""
        self.early = True
        if isinstance(self.runner, MasterRunner):
            self.runner.send_message(FINISH)
        elif self.sender is not None:
            self.sender.finish_early()

    def interrupt(self) -> None:
        """Stopped from outside: send nothing more, learn what is under way, close the ledgers."""
        if self.sender is not None and not self.over:
            self.sender.abandon()
            self.ready.clear()
            self.close(STOP_SECONDS)
        elif self.sender is not None:  # its last ends are being waited for, which must not take long any more
            self.deadline = min(self.deadline, time.monotonic() + STOP_SECONDS)
            self.closed.wait(STOP_SECONDS + PROGRESS_SECONDS)
        elif isinstance(self.runner, MasterRunner) and not self.over:
            self.environment.process_exit_code = 1

    # Saying

    def progress(self, sender: Sender) -> None:
        """A progress line, for a program that watches; where that is gone, stop."""
        if not self.options.progress_lines:
            return
        counts = sender.counts
        self.say(
            "progress", producer=sender.orders.producer, attempted=counts.attempted, ok=counts.ok, fail=counts.fail
        )

    def complain(self, error: AssayError) -> None:
        """One sentence on what can't be done."""
        self.say("error", message=str(error))
        if self.options.progress_lines:
            return
        sys.stderr.write(f"{error}\n")

    def say(self, event: str, **facts: Any) -> None:
        """An event, as a JSON line for a program; for people, its message."""
        if self.options.progress_lines:
            try:
                os.write(sys.stdout.fileno(), (json.dumps({"assay": event, **facts}) + "\n").encode())
            except BrokenPipeError:  # whoever watched is gone: nobody wants this load any more
                self.options.progress_lines = False
                self.environment.process_exit_code = 1
                gevent.spawn(self.runner.quit)
        elif event == "begin":
            sys.stderr.write(f"Run {facts['run_id']}: the ledgers go to {facts['folder']}.\n")
        elif event == "end":
            sys.stderr.write(f"{facts['message']}\n")


def _caught(function: Callable[..., Result], *arguments: Any) -> Result | AssayError:
    """Hand errors that are sentences back: gevent would print those that leave its thread."""
    try:
        return function(*arguments)
    except AssayError as error:
        return error


def _exit_code(error: AssayError) -> int:
    return error.exit_code if isinstance(error, UsageError) else 1


LOADS: Final[dict[Environment, Load]] = {}


@events.init.add_listener
def on_init(environment: Environment, runner: Runner, **_: Any) -> None:
    """Locust is set up: check the options, and listen to what happens."""
    load = LOADS[environment] = Load(environment, runner)
    environment.events.test_start.add_listener(lambda **_: load.on_test_start())
    environment.events.test_stopping.add_listener(lambda **_: load.interrupt())
    environment.events.quitting.add_listener(lambda **_: load.interrupt())
    gevent.signal_handler(signal.SIGUSR1, load.finish)
