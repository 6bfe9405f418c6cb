"""The `assay` command: its commands in one place; what a user can cause ends in one sentence.

Exit codes: 0 pass, 1 fail, 2 unknown (also: what was asked could not be done), 254 wrong usage, 255 crash.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from assay import __version__
from assay.commands import chaos, cluster, evidence, look, platform, run
from assay.commands.options import PROGRESS
from assay.errors import AssayError
from assay.verdict import EXIT_CRASH, EXIT_USAGE, Verdict

COMMANDS: Final = (
    *(cluster.up, cluster.status, cluster.down),
    *(platform.deploy, platform.rotate, platform.teardown),
    *(look.preflight, look.posture, look.rights),
    *(run.etl, run.load, run.drain, run.validate),
    *(evidence.judge, evidence.report, evidence.selftest),
    chaos.chaos,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="assay")
def cli() -> None:
    """Test a Kafka data platform on Kubernetes before production does."""


for _command in COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Run the command; every ending is an exit code."""
    try:
        result = cli.main(standalone_mode=False)
        code = result.exit_code if isinstance(result, Verdict) else int(result or 0)
    except click.ClickException as error:
        error.show()
        code = EXIT_USAGE
    except AssayError as error:
        _say(error)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        PROGRESS.print("Stopped.")
        code = 130
    except Exception:  # noqa: BLE001  # a crash has an exit code of its own
        PROGRESS.print_exception()
        code = EXIT_CRASH
    sys.exit(code)


def _say(error: AssayError) -> None:
    PROGRESS.print(f"assay: {error}", style="red", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
