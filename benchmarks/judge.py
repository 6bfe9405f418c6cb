"""How the judge's time grows with the number of messages: `python benchmarks/judge.py [MESSAGES ...]`.

Each size is a synthetic clean run, written to a temporary folder and judged by a fresh process, whose imports are not
counted. Seconds depend on the machine, so read the ratios: time against the size before it (10 where it grows
linearly), and against a plain SHA-256 of the same files, which is the least that any check of evidence can cost.
"""
# ruff: noqa: T201  # a script, which prints

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from runs import write_run  # it stands with the tests

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
_JUDGE = """
import json, pathlib, resource, sys, time
from assay import manifest
from assay.judge import judge
folder = pathlib.Path(sys.argv[1])
began = time.perf_counter()
manifest.digests(folder)
hashed = time.perf_counter()
verdict = judge(folder).verdict
judged = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps([verdict, judged - hashed, hashed - began, peak]))
"""


def main(sizes: tuple[int, ...]) -> None:
    """Print one line a size."""
    print(f"{'messages':>12} {'judged':>9} {'x before':>9} {'x hashing':>10} {'peak memory':>12}")
    before = 0.0
    for messages in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            folder = write_run(Path(scratch) / "run", messages, producers=4)
            output = subprocess.run(
                [sys.executable, "-c", _JUDGE, str(folder)], check=True, capture_output=True, text=True
            ).stdout
        verdict, seconds, hashing, peak = json.loads(output)
        if verdict != "pass" and messages >= SIZES[1]:
            raise SystemExit(f"The clean run of {messages:,} messages was judged {verdict}.")
        growth = f"{seconds / before:.1f}" if before else ""
        print(f"{messages:>12,} {seconds:>7.2f} s {growth:>9} {seconds / hashing:>10.1f} {peak / 2**30:>8.2f} GiB")
        before = seconds


if __name__ == "__main__":
    main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
