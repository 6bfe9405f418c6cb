"""What may be asked of a load, how its words are read, and when it is over."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from assay import load
from assay.errors import AssayError, UsageError
from assay.load import (
    DEFAULTS,
    LOCUSTFILE,
    LoadSettings,
    Progress,
    check_folder,
    parse_event,
    total_progress,
)
from assay.manifest import Plan

if TYPE_CHECKING:
    from pathlib import Path

UNSAFE = {"acks": "0", "enable.idempotence": "false"}
PLAN = Plan(
    messages=1000, rate_per_second=0.1, seed=7, topic="prices", group="g", partitions=3, producer_settings=UNSAFE
)


def test_the_defaults_can_be_carried_out() -> None:
    """A load without any option is 100,000 messages at 10,000 a second."""
    settings = LoadSettings.parse(DEFAULTS)
    assert (settings.messages, settings.rate_per_second, settings.topic) == (100_000, 10_000, "commodity-prices")
    assert (settings.run_id, settings.run_folder) == ("", None)


@pytest.mark.parametrize(
    ("option", "word", "sentence"),
    [
        ("messages", "0", "--messages 0 is out of range: give a whole number of at least 1."),
        ("messages", "-5", "--messages -5 is out of range: give a whole number of at least 1."),
        ("messages", "many", "--messages 'many' is no number: give a whole number of at least 1."),
        ("messages", "1.5", "--messages '1.5' is no number: give a whole number of at least 1."),
        ("rate", "-1", "--rate -1 is out of range: give messages a second, in all, or 0 for as fast as it goes."),
        ("rate", "nan", "--rate nan is out of range: give messages a second, in all, or 0 for as fast as it goes."),
        ("rate", "inf", "--rate inf is out of range: give messages a second, in all, or 0 for as fast as it goes."),
        ("rate", "", "--rate '' is no number: give messages a second, in all, or 0 for as fast as it goes."),
        ("batch_size", "-1", "--batch-size -1 is out of range: give a whole number of at least 0 and at most 10000."),
        ("seed", "-1", "--seed -1 is out of range: give a whole number of at least 0."),
        ("topic", " ", "--topic is empty: give the topic to send to."),
        ("bootstrap", "", "--bootstrap is empty: give the brokers' addresses, host:port,...."),
        (
            "run_id",
            "../x",
            "--run-id '../x' can't be used: it may have letters, digits, dots, dashes and underscores only.",
        ),
    ],
)
def test_an_option_that_makes_no_sense_is_one_sentence(option: str, word: str, sentence: str) -> None:
    """It names the option, what was given, and what may be; exit code 254."""
    with pytest.raises(UsageError) as caught:
        LoadSettings.parse({**DEFAULTS, option: word})
    assert str(caught.value) == sentence
    assert caught.value.exit_code == 254


def test_a_folder_that_holds_a_load_is_in_use(tmp_path: Path) -> None:
    """A folder may exist, and hold other evidence, but no load: facts are never overwritten."""
    check_folder(tmp_path / "new")
    (tmp_path / "lag.arrows").touch()
    check_folder(tmp_path)
    (tmp_path / "attempts.load-0.arrows").touch()
    with pytest.raises(UsageError, match=r"is in use: it holds attempts\.load-0\.arrows"):
        check_folder(tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        check_folder(tmp_path / "lag.arrows")


@pytest.mark.parametrize("line", ["", "Type  Name", "3", "[]", "{}", '{"assay": 1}', '{"assay": "progress"'])
def test_other_lines_of_output_are_no_events(line: str) -> None:
    """Locust prints tables to the same stream; half a line is no event either."""
    assert parse_event(line) is None


def test_progress_is_the_sum_of_all_processes() -> None:
    """Each process tells its own counts; the last word of each counts."""
    first = parse_event('{"assay": "progress", "producer": "load-0", "attempted": 10, "ok": 7, "fail": 1}')
    second = parse_event('{"assay": "progress", "producer": "load-1", "attempted": 5, "ok": 5, "fail": 0}')
    assert first is not None
    assert second is not None
    assert total_progress({"load-0": first, "load-1": second}, 20) == Progress(15, 12, 1, 20)


def test_a_load_whose_command_was_killed_is_waited_for(tmp_path: Path) -> None:
    """Whoever writes into the folder holds its log, also when the one who began it is gone."""
    load.await_end(tmp_path, 0)
    with (tmp_path / load.LOG_NAME).open("w") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        orphan = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stderr=log)
    with pytest.raises(AssayError, match=rf"^The load of {tmp_path} still runs"):
        load.await_end(tmp_path, 0)
    orphan.communicate()
    load.await_end(tmp_path, 0)


def test_the_command_asks_for_exactly_the_plan(tmp_path: Path) -> None:
    """Every figure of the plan reaches Locust, and what it needs to be watched."""
    words = load.command(PLAN, "b:1,b:2", tmp_path, "run-1", processes=2, batch_size=10)
    asked = dict(pairwise(words))
    assert asked["--messages"] == "1000"
    assert asked["--rate"] == "0.1"
    assert asked["--seed"] == "7"
    assert asked["--topic"] == "prices"
    assert asked["--bootstrap"] == "b:1,b:2"
    assert asked["--run-id"] == "run-1"
    assert asked["--processes"] == "2"
    assert asked["--batch-size"] == "10"
    assert {"--headless", "--progress-lines"} <= set(words)
    assert {"--producer-setting=acks=0", "--producer-setting=enable.idempotence=false"} <= set(words)


def test_a_home_without_locustfile_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package has no locustfiles beside it: the sentence says what to set."""
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    with pytest.raises(UsageError, match=r"set ASSAY_HOME to a checkout of Assay\.$"):
        load.home()


def test_a_load_that_cannot_start_raises_locusts_sentence(tmp_path: Path) -> None:
    """Through the real Locust: a usage error inside it is a usage error here, and nothing was recorded."""
    wrong = PLAN.model_copy(update={"messages": 0})
    with pytest.raises(UsageError, match=r"^--messages 0 is out of range: give a whole number of at least 1\.$"):
        load.run_load(wrong, "127.0.0.1:1", tmp_path, "run-1")
    assert [path.name for path in tmp_path.iterdir()] == [load.LOG_NAME]


#: Stands for Locust: says that it sends until it is asked to finish, and then how many there were.
OBEDIENT = """
import json, pathlib, signal, sys, time
asked = []
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path(sys.argv[1], "attempts.load-0.arrows").touch()
while not asked:
    print(json.dumps({"assay": "progress", "producer": "load-0", "attempted": 7, "ok": 7, "fail": 0}), flush=True)
    time.sleep(0.05)
print(json.dumps({"assay": "end", "attempted": 42}), flush=True)
"""


@pytest.mark.parametrize(("verb", "ended_after"), [("finish", 42), ("stop", None)])
def test_a_load_can_be_ended_from_another_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, ended_after: int | None
) -> None:
    """On purpose, which says after how many sends; or as when interrupted, which says nothing."""
    monkeypatch.setattr(load, "command", lambda *_, **__: [sys.executable, "-c", OBEDIENT, str(tmp_path)])
    brake = load.Brake()
    found = load.run_load(PLAN, "b:1", tmp_path, "run-1", on_progress=lambda _: getattr(brake, verb)(), brake=brake)
    assert found == ended_after


def test_a_setting_that_librdkafka_refuses_raises_locusts_sentence(tmp_path: Path) -> None:
    """Through the real Locust: the settings of the plan reach the producer, and a wrong one is one sentence."""
    wrong = PLAN.model_copy(update={"producer_settings": {"acks": "0"}})
    with pytest.raises(UsageError, match=r"^--producer-setting acks=0 can't be used: .*idempotence"):
        load.run_load(wrong, "127.0.0.1:1", tmp_path, "run-1")


def test_locust_alone_says_one_sentence_and_leaves_no_folder(tmp_path: Path) -> None:
    """By itself: exit code 254, the sentence, no traceback, no half-made run folder."""
    environment = {**os.environ, "PYTHONPATH": str(load.home())}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(load.home() / LOCUSTFILE),
            "--headless",
            "-L",
            "ERROR",
            "--rate",
            "-1",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 254
    assert done.stderr == "--rate -1 is out of range: give messages a second, in all, or 0 for as fast as it goes.\n"
    assert list(tmp_path.iterdir()) == []
