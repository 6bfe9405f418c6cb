"""The platform's manifests, rendered by Ansible itself with the sample inventory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


def documents(folder: Path, variables: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Every document that playbooks/site.yml would apply with these variables, by way of files in this folder."""
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "playbooks/render.yml",
            "-e",
            json.dumps({**(variables or {}), "platform_render_to": str(folder)}),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    files = sorted(folder.glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]
