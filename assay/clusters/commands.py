"""Running system tools: one function, whose error carries the command and what it printed."""

from __future__ import annotations

import os
import subprocess
from typing import IO, TYPE_CHECKING

from assay.clusters.cluster import ClusterError
from assay.clusters.processes import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    stdin_file: IO[bytes] | None = None,
    token: str = "",
    timeout: float = 60,
) -> str:
    """Run a tool and return what it printed.

    Args:
        argv: the tool and its arguments.
        stdin: text for its standard input.
        stdin_file: an open file for its standard input, instead of text.
        token: the mark of the cluster that it is run for: if we are killed, it is ended when the cluster is removed.
        timeout: limit in seconds.

    Raises:
        ClusterError: it isn't installed, failed, or took longer than the timeout.
    """
    try:
        done = subprocess.run(
            argv,
            **({"stdin": stdin_file} if stdin_file else {"input": stdin}),
            env={**os.environ, TOKEN_VARIABLE: token} if token else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{argv[0]} is not installed on this machine (needed for `{' '.join(argv)}`)") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(argv)}` did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        printed = " ".join((done.stderr or done.stdout).split())[-500:] or "it printed nothing"
        given = f" given {' / '.join(stdin.splitlines())!r}" if stdin else ""
        raise ClusterError(f"`{' '.join(argv)}`{given} failed with {done.returncode}: {printed}")
    return done.stdout
