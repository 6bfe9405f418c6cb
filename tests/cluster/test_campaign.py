"""One experiment many times on a real platform: cut off, gone on with, and how recovery spread."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from assay.clusters.embedded import EmbeddedCluster


def chaos(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `assay chaos` with clusters in `root`."""
    command = [sys.executable, "-m", "assay.cli", "chaos", *words]
    surroundings = os.environ | {"ASSAY_STATE": str(root)}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=surroundings)


def test_whom_it_would_hit_is_said_and_nothing_is_touched(deployed: EmbeddedCluster, clusters_root: Path) -> None:
    """A dry run names the pod; what is no experiment is refused in one sentence."""
    said = chaos(clusters_root, "pod-crash", "--name", deployed.name, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "would hit pod/commodity-analytics-consumer-" in said.stdout
    refused = chaos(clusters_root, "no-such-thing", "--name", deployed.name)
    assert refused.returncode == 254
    assert "There is no experiment no-such-thing" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.endurance
def test_a_campaign_goes_on_where_it_was_cut_off(
    deployed: EmbeddedCluster, clusters_root: Path, tmp_path: Path
) -> None:
    """Runs that have a verdict are not made again; the page tells of all of them."""
    folder = tmp_path / "campaign"
    words = ["pod-crash", "--name", deployed.name, "--folder", str(folder)]
    first = chaos(clusters_root, *words, "--runs", "1")
    assert first.returncode == 0, first.stdout + first.stderr
    before = (folder / "run-001" / "manifest.json").read_bytes()
    second = chaos(clusters_root, *words, "--runs", "2")
    assert second.returncode == 0, second.stdout + second.stderr
    assert (folder / "run-001" / "manifest.json").read_bytes() == before
    page = (folder / "campaign.html").read_text()
    assert "2 of 2 runs: 2 pass" in page
    assert 'href="run-002/report.html"' in page
    other = chaos(clusters_root, "broker-failure", "--name", deployed.name, "--folder", str(folder))
    assert other.returncode == 254
    assert "name another folder" in other.stderr
