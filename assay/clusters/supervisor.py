"""The first process of a node, or of the control plane: sets its namespaces up, then starts and restarts programs.

It runs as PID 1 of its own PID namespace, so that everything below it dies with it. Called by file path with a JSON
file; the standard library only, so that it starts in milliseconds and stays small. What stands in the file:

    hostname    name to take, or null
    cgroups     folders to enter (this process and all that it starts, except what a kubelet moves)
    mounts      [{"kind": "bind" | "tmpfs", "source": ..., "target": ...}], in order
    sysctls     {"net/ipv4/ip_forward": "1"}: of its own network namespace
    programs    [{"name", "argv", "environment", "log", "needs"}]; a program starts when all it needs is there:
                {"address": "10.1.2.3"}  the address is ours
                {"socket": "/run/x"}     something listens at the unix socket
                {"url": ["10.1.2.3", 6443, "/readyz"]}  HTTPS answers 200 there
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICK_SECONDS = 0.1
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.2, 5.0
HEALTHY_SECONDS = 10.0


@dataclass
class Program:
    """One program: how to start it, and how it is doing."""

    name: str
    argv: list[str]
    environment: dict[str, str]
    log: str
    needs: list[dict[str, Any]]
    pid: int | None = None
    started: float = 0.0
    not_before: float = 0.0
    delay: float = field(default=FIRST_DELAY_SECONDS)

    def start(self) -> None:
        """Start it, its output appended to its log."""
        log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.pid = os.posix_spawn(
            self.argv[0],
            self.argv,
            {**os.environ, **self.environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, self.log, log, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
        )
        self.started = time.monotonic()
        say(f"{self.name} started")

    def ended(self, status: int) -> None:
        """Note that it ended; it starts again after a delay that doubles while it keeps ending early."""
        now = time.monotonic()
        if now - self.started > HEALTHY_SECONDS:
            self.delay = FIRST_DELAY_SECONDS
        say(f"{self.name} ended with {os.waitstatus_to_exitcode(status)}; starting it again in {self.delay:.1f} s")
        self.pid, self.not_before = None, now + self.delay
        self.delay = min(self.delay * 2, LONGEST_DELAY_SECONDS)


def say(line: str) -> None:
    """Log a line with the time (UTC)."""
    sys.stdout.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
    sys.stdout.flush()


def there(need: dict[str, Any]) -> bool:
    """Whether what a program needs is there now."""
    if "address" in need:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((need["address"], 0))
            except OSError:
                return False
            return True
    if "socket" in need:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(need["socket"]) == 0
    return answers(*need["url"])


def answers(host: str, port: int, path: str) -> bool:
    """Whether a HTTPS server answers 200 to a GET within 2 s; its certificate is not checked, nothing is told to it."""
    import ssl  # noqa: PLC0415  # only who waits for an URL pays for it

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # only whether it answers; nothing is sent
    try:
        with (
            socket.create_connection((host, port), timeout=2) as plain,
            context.wrap_socket(plain, server_hostname=host) as tls,
        ):
            tls.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            return b" 200 " in tls.recv(64)
    except OSError:
        return False


def set_up(spec: dict[str, Any]) -> None:
    """Enter the cgroups, take the name, mount, set sysctls."""
    for folder in spec["cgroups"]:
        Path(folder, "cgroup.procs").write_text("0")
    if spec["hostname"]:
        socket.sethostname(spec["hostname"])
    _mount("--make-rslave", "/")
    _mount("--make-rshared", "/")
    for mount in spec["mounts"]:
        if mount["kind"] == "tmpfs":
            _mount("-t", "tmpfs", "-o", "mode=755", "assay", mount["target"])
            continue
        _mount("--bind", mount["source"], mount["target"])
        # Its own peer group: what is mounted below the target must not appear below the source too.
        _mount("--make-private", mount["target"])
        _mount("--make-shared", mount["target"])
    for name, value in spec["sysctls"].items():
        setting = Path("/proc/sys", name)
        if setting.exists():
            setting.write_text(value)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def supervise(programs: list[Program]) -> None:
    """Start each program when its needs are there, restart what ends, reap orphans; for ever."""
    while True:
        while (ended := _reap()) is not None:
            pid, status = ended
            for program in programs:
                if program.pid == pid:
                    program.ended(status)
        for program in programs:
            ready = program.pid is None and time.monotonic() >= program.not_before
            if ready and all(there(need) for need in program.needs):
                program.start()
        time.sleep(TICK_SECONDS)


def _reap() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def main() -> None:
    """Do what the JSON file named by the only argument says."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    set_up(spec)
    say("set up")
    supervise([Program(**program) for program in spec["programs"]])


if __name__ == "__main__":
    main()
