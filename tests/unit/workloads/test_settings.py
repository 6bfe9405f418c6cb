"""Bad configuration: each program ends with one sentence that names the variable, exit code 254, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from workloads.analytics.settings import AnalyticsSettings
from workloads.settings import SettingsError, load

ROOT = Path(__file__).parents[3]
ETL = {"ETL_FEED_URL": "http://127.0.0.1:1", "ETL_TOKEN_FILE": "{token}", "ETL_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
FEED = {"FEED_TOKEN_FILE": "{token}"}
ANALYTICS = {
    "ANALYTICS_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "ANALYTICS_CATALOG_URI": "sqlite://",
    "ANALYTICS_WAREHOUSE": "file:///nowhere",
    "ANALYTICS_HOST": "127.0.0.1",
    "ANALYTICS_PORT": "0",
}


def given(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """The environment with the names of files in place of `{token}`, `{empty}` and `{absent}`."""
    (folder / "token").write_text("secret")
    (folder / "empty").write_text("")
    files = {"{token}": str(folder / "token"), "{empty}": str(folder / "empty"), "{absent}": str(folder / "absent")}
    return {name: files.get(value, value) for name, value in environment.items()}


def run(program: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with nothing else in its environment."""
    return subprocess.run(
        [sys.executable, "-m", f"workloads.{program}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | given(environment, folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("program", "environment", "words"),
    [
        ("feed", {}, "FEED_TOKEN_FILE: Field required"),
        ("feed", FEED | {"FEED_TOKEN_FILE": "{absent}"}, "mount the Secret there"),
        ("feed", FEED | {"FEED_TOKEN_FILE": "{empty}"}, "is empty"),
        ("feed", FEED | {"FEED_PORT": "http"}, "FEED_PORT"),
        ("feed", FEED | {"FEED_FAULTS": "not json"}, "faults"),
        ("feed", FEED | {"FEED_FAULTS": '{"error_ratio": 2}'}, "FEED_FAULTS_ERROR_RATIO"),
        ("etl", {}, "ETL_FEED_URL: Field required"),
        ("etl", ETL | {"ETL_FEED_URL": "feed:8080"}, "ETL_FEED_URL"),
        ("etl", ETL | {"ETL_TOKEN_FILE": "{absent}"}, "mount the Secret there"),
        ("etl", ETL | {"ETL_PAGE_SIZE": "0"}, "ETL_PAGE_SIZE"),
        ("etl", ETL | {"RUN_ID": "ä"}, "RUN_ID"),
        ("analytics", {}, "ANALYTICS_BOOTSTRAP_SERVERS: Field required"),
        ("analytics", ANALYTICS | {"ANALYTICS_BATCH_SIZE": "101"}, "ANALYTICS_BATCH_SIZE"),
        ("analytics", ANALYTICS | {"ANALYTICS_HEARTBEAT_INTERVAL_MS": "3000"}, "a third of the session timeout"),
        ("analytics", ANALYTICS | {"ANALYTICS_CATALOG_URI": "nowhere"}, "no SQLAlchemy address"),
        ("analytics", ANALYTICS | {"ANALYTICS_CATALOG_URI": "x://u:{password}@h/d"}, "ANALYTICS_CATALOG_PASSWORD_FILE"),
    ],
)
def test_a_wrong_setting_is_one_sentence(  # noqa: PLR0917  # pytest gives them by name
    program: str,
    environment: dict[str, str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It names the variable or file, and nothing has started."""
    monkeypatch.setattr(os, "environ", given(environment, tmp_path))
    with pytest.raises(SystemExit) as ended:
        import_module(f"workloads.{program}.__main__").main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (254, "")
    assert words in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("program", ["feed", "etl", "analytics"])
def test_a_program_without_settings_ends_with_one_sentence(program: str, tmp_path: Path) -> None:
    """As a process of its own: exit code 254, and no traceback."""
    ended = run(program, {}, tmp_path)
    assert (ended.returncode, ended.stdout) == (254, "")
    assert ended.stderr.startswith("The configuration is unusable, correct the environment: ")
    assert ended.stderr.count("\n") == 1


def test_a_dead_feed_or_kafka_is_one_sentence_and_a_summary(tmp_path: Path) -> None:
    """Kafka can't be reached: exit code 69, the problem in the summary line, no traceback."""
    ended = run("etl", ETL | {"ETL_START_SECONDS": "0.5"}, tmp_path)
    assert ended.returncode == 69
    assert '"outcome":"failed"' in ended.stdout
    assert "Kafka at 127.0.0.1:1 can't be reached" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_analytics_without_kafka_is_one_sentence(tmp_path: Path) -> None:
    """Exit code 69 after the set time."""
    ended = run("analytics", ANALYTICS | {"ANALYTICS_START_SECONDS": "0.5"}, tmp_path)
    assert ended.returncode == 69
    assert "can't be read" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_catalogs_password_is_read_from_its_file_and_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password may hold characters that an address may not."""
    (tmp_path / "password").write_text("a/b@c\n")
    for name, value in ANALYTICS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ANALYTICS_CATALOG_URI", "postgresql+psycopg2://u:{password}@h/d")
    monkeypatch.setenv("ANALYTICS_CATALOG_PASSWORD_FILE", str(tmp_path / "password"))
    address = make_url(load(AnalyticsSettings).catalog_address())
    assert (address.password, address.host, address.database) == ("a/b@c", "h", "d")
    assert address.query["connect_timeout"] == "5"
    monkeypatch.delenv("ANALYTICS_WAREHOUSE")
    with pytest.raises(SettingsError, match="ANALYTICS_WAREHOUSE"):
        load(AnalyticsSettings)


def test_the_consumer_never_commits_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both protocols: no automatic commits; session and heartbeat only where the client sets them."""
    for name, value in ANALYTICS.items():
        monkeypatch.setenv(name, value)
    classic = load(AnalyticsSettings).consumer()
    monkeypatch.setenv("ANALYTICS_GROUP_PROTOCOL", "consumer")
    modern = load(AnalyticsSettings).consumer()
    for found in (classic, modern):
        assert (found["enable.auto.commit"], found["enable.auto.offset.store"]) == (False, False)
    assert (classic["session.timeout.ms"], classic["heartbeat.interval.ms"]) == (6000, 1000)
    assert classic["partition.assignment.strategy"] == "cooperative-sticky"
    assert not {"session.timeout.ms", "heartbeat.interval.ms", "partition.assignment.strategy"} & set(modern)
