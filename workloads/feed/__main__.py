"""`python3 -m workloads.feed`: serve the feed until SIGTERM."""

from __future__ import annotations

import structlog
import uvicorn

from workloads import log
from workloads.feed.app import Feed
from workloads.feed.settings import FeedSettings
from workloads.settings import USAGE, SettingsError, load, refuse


def main() -> None:
    """Serve; exit code 254 and one sentence where the settings are unusable."""
    try:
        settings = load(FeedSettings)
        for path in (settings.token_file, settings.admin_token_file):
            if path is not None and not path.read_text(encoding="utf-8").strip():
                refuse(f"The token file {path} is empty: put the bearer token into it.", USAGE)
    except SettingsError as error:
        refuse(str(error), USAGE)
    except OSError as error:
        refuse(f"The token file {error.filename} can't be read ({error.strerror}): mount the Secret there.", USAGE)
    log.configure(settings.log_level)
    structlog.get_logger().info("feed.listening", host=settings.host, port=settings.port)
    uvicorn.run(
        Feed(settings).app(),
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
