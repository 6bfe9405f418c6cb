"""`python3 -m workloads.etl`: one run of the pipeline; prints the summary line and exits with what it says."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from workloads import log
from workloads.etl import pipeline, produce
from workloads.etl.extract import Feed, FeedError
from workloads.etl.settings import EtlSettings
from workloads.etl.summary import Summary
from workloads.settings import UNAVAILABLE, USAGE, SettingsError, load, refuse

if TYPE_CHECKING:
    from types import FrameType


class StoppedError(RuntimeError):
    """The run was told to stop."""


def main() -> None:
    """Run once; the exit codes are in workloads/README.md."""
    try:
        settings = load(EtlSettings)
        token = settings.token_file.read_text(encoding="utf-8").strip()
    except SettingsError as error:
        refuse(str(error), USAGE)
    except OSError as error:
        refuse(f"The token file {error.filename} can't be read ({error.strerror}): mount the Secret there.", USAGE)
    if not token:
        refuse(f"The token file {settings.token_file} is empty: put the feed's bearer token into it.", USAGE)
    log.configure(settings.log_level)
    signal.signal(signal.SIGTERM, _stop)

    summary = Summary(settings.run_id)
    code = _run(settings, token, summary)
    sys.stdout.buffer.write(summary.line() + b"\n")
    sys.stdout.flush()
    if settings.metrics_file is not None:
        try:
            summary.write_metrics(settings.metrics_file)
        except OSError as error:
            refuse(f"The metrics file {settings.metrics_file} can't be written ({error.strerror}).", code or 1)
    sys.exit(code)


def _run(settings: EtlSettings, token: str, summary: Summary) -> int:
    url = str(settings.feed_url).rstrip("/")
    with summary.whole.timing():
        try:
            producer = produce.connect(
                settings.bootstrap_servers,
                (settings.topic, settings.rejects_topic),
                settings.start_seconds,
                settings.delivery_seconds,
                settings.client(),
            )
            outlets = pipeline.Outlets(
                produce.Outlet(producer, settings.topic, settings.run_id, "etl"),
                produce.Outlet(producer, settings.rejects_topic, settings.run_id, "etl-rejects"),
            )
            with Feed(url, token, settings.retry_seconds) as feed:
                pipeline.run(
                    feed,
                    settings.page_size,
                    outlets,
                    lambda: produce.drain(producer, settings.delivery_seconds + 5.0),
                    summary,
                )
        except (FeedError, produce.KafkaUnusableError) as error:
            summary.problem = str(error)
            sys.stderr.write(f"{error}\n")
            return UNAVAILABLE
        except StoppedError as error:
            summary.problem = str(error)
    if not summary.sound:
        problem = summary.problem or f"{summary.unaccounted} rows are in neither topic; run again."
        sys.stderr.write(f"The run failed: {problem}\n")
        return 1
    return 0


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise StoppedError("it was told to stop before the feed's last page; run again.")


if __name__ == "__main__":
    main()
