"""How the judge's time and memory grow with the number of messages.

    python benchmarks/judge.py [--sizes N ...] [--processes N] [--scratch FOLDER] [--plot FILE.svg]

Each size is a synthetic clean run, written to a scratch folder, sealed, and judged by `assay judge` as a user would.
Seconds depend on the machine, so read the ratios: time against the size before it (10 where it grows linearly), and
against a plain SHA-256 of the same files, which is the least that any check of evidence can cost. Start-up is measured
by a run of ten thousand messages and taken off. Memory is the proportional share (PSS) of all the judge's processes,
sampled.
"""
# ruff: noqa: T201  # a script, which prints

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from runs import write_run  # it stands with the tests

from assay import manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
_SMALLEST = 10_000
_QUICK = 1_000_000
_SAMPLE_SECONDS = 0.2


def judged(folder: Path, processes: int) -> tuple[float, float, int]:
    """Judge a folder; wall and processor seconds, and the peak of memory in bytes."""
    words = [sys.executable, "-m", "assay.cli", "judge", str(folder), "--processes", str(processes)]
    began, peak, spent = time.perf_counter(), 0, 0.0
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        family: dict[int, float] = {}
        while process.poll() is None:
            peak = max(peak, _memory(process.pid, family))
            time.sleep(_SAMPLE_SECONDS)
        seconds, spent = time.perf_counter() - began, sum(family.values())
        output = process.stdout.read() if process.stdout else ""
    if process.returncode != 0:
        raise SystemExit(f"The clean run in {folder} was not judged pass:\n{output}")
    return seconds, spent, peak


def _memory(pid: int, family: dict[int, float]) -> int:
    """Memory of a process and all below it; their processor seconds so far are noted in `family`."""
    total = 0
    try:
        parent = psutil.Process(pid)
        for one in [parent, *parent.children(recursive=True)]:
            total += one.memory_full_info().pss
            times = one.cpu_times()
            family[one.pid] = times.user + times.system
    except psutil.Error:  # it ended just now
        pass
    return total


def main(sizes: Sequence[int], processes: int, scratch: Path | None, plot: Path | None) -> None:
    """Print one line a size, and draw them."""
    widths = {"messages": 12, "judged": 9, "x before": 9, "x hashing": 10, "processor": 10, "peak": 9, "files": 9}
    print(*(f"{text:>{width}}" for text, width in widths.items()))
    lines: list[tuple[int, float, int]] = []
    start_up = 0.0
    for messages in (_SMALLEST, *sizes):
        with tempfile.TemporaryDirectory(dir=scratch) as room:
            folder = write_run(Path(room) / "run", messages, producers=4)
            size = sum(path.stat().st_size for path in folder.iterdir())
            began = time.perf_counter()
            manifest.digests(folder)
            hashing = time.perf_counter() - began
            # What is over in a moment is tried thrice, and the best counts: starting up varies by more than it takes.
            tries = 3 if messages <= _QUICK else 1
            seconds, spent, peak = min(judged(folder, processes) for _ in range(tries))
        if messages == _SMALLEST:
            start_up = seconds
            continue
        seconds -= start_up
        growth = f"{seconds / lines[-1][1]:.1f}" if lines else ""
        print(
            f"{messages:>12,} {seconds:>7.2f} s {growth:>9} {seconds / hashing:>10.1f} {spent:>8.1f} s "
            f"{peak / 2**30:>5.2f} GiB {size / 2**30:>5.2f} GiB"
        )
        lines.append((messages, seconds, peak))
    print(f"start-up, taken off: {start_up:.2f} s; {processes} processes")
    if plot is not None:
        draw(lines, plot)


def draw(lines: Sequence[tuple[int, float, int]], path: Path) -> None:
    """Time and memory by the number of messages, both axes logarithmic."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # only where somebody wants a picture

    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    sizes = [messages for messages, _, _ in lines]
    left.plot(sizes, [seconds for _, seconds, _ in lines], marker="o", color="#2f7fc1", label="measured")
    first = lines[-1][1] / lines[-1][0]
    left.plot(sizes, [first * messages for messages in sizes], color="#d9822b", linestyle=":", label="linear")
    right.plot(sizes, [peak / 2**30 for _, _, peak in lines], marker="o", color="#1f9d74", label="peak memory")
    right.axhline(2, color="#d9822b", linestyle=":", label="2 GiB")
    left.set(xscale="log", yscale="log", xlabel="messages", ylabel="seconds")
    right.set(xscale="log", xlabel="messages", ylabel="GiB", ylim=(0, 2.2))
    for axes in (left, right):
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--processes", type=int, default=psutil.cpu_count())
    parser.add_argument("--scratch", type=Path, help="where runs are written; the largest one needs 25 GB")
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    main(given.sizes, given.processes, given.scratch, given.plot)
