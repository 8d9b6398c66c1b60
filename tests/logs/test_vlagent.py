# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our vlagent and a VictoriaLogs on the loopback: what is read from containers' files, and that none is lost."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import wait_until
from ansible_collections.selfhosted.kubernetes.tests.why.plane import binary, free_port

SECONDS = 30
LINES = 300
FIELDS = {
    "log": "pod",
    "node": "w1",
    "namespace": "web",
    "pod": "web-1",
    "container": "app",
    "uid": "11-22",
    "restart": "0",
}


def stamp() -> str:
    """Now, as containerd writes it."""
    moment = time.time_ns()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(moment // 10**9))}.{moment % 10**9:09d}Z"


class Logs:
    """A store, an agent, and the folder that it reads."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ports = folder, (free_port(), free_port())
        self.file = folder / "pods/web_web-1_11-22/app/0.log"
        self.file.parent.mkdir(parents=True)
        self.store = self.start_store()
        self.agent = self.start_agent()

    def _start(self, name: str, *flags: str) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen([str(binary(name, self.folder)), *flags], stdout=log, stderr=log)

    def start_store(self) -> subprocess.Popen[bytes]:
        """Until it answers."""
        data = f"--storageDataPath={self.folder / 'data'}"
        process = self._start("victoria-logs", f"--httpListenAddr=127.0.0.1:{self.ports[0]}", data)
        wait_until(lambda: self.asked("*") is not None, SECONDS, "VictoriaLogs answers")
        return process

    def start_agent(self) -> subprocess.Popen[bytes]:
        """It need not wait for anything."""
        return self._start(
            "vlagent",
            *(f"--httpListenAddr=127.0.0.1:{self.ports[1]}", "--node=w1", f"--podLogs={self.folder / 'pods'}"),
            *(
                f"--remoteWrite.url=http://127.0.0.1:{self.ports[0]}/insert/native",
                f"--tmpDataPath={self.folder / 'state'}",
            ),
            *("--remoteWrite.retryMaxTime=2s", "--memory.allowedBytes=32MiB"),
        )

    def asked(self, query: str) -> list[dict[str, str]] | None:
        """Lines in the order of their times; None while nobody answers."""
        url = f"http://127.0.0.1:{self.ports[0]}/select/logsql/query?{urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return sorted((json.loads(text) for text in answer), key=lambda it: str(it["_time"]))
        except (urllib.error.URLError, ConnectionError):
            return None

    def write(self, *lines: str) -> None:
        """As a container's file has them."""
        with open(self.file, "a", encoding="utf-8") as file:
            file.writelines(f"{stamp()} {line}\n" for line in lines)

    def close(self) -> None:
        """Both end."""
        for process in (self.agent, self.store):
            process.kill()
            process.wait()


def end(process: subprocess.Popen[bytes]) -> None:
    """As systemd does it."""
    process.terminate()
    process.wait(SECONDS)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    """Running."""
    found = Logs(tmp_path)
    yield found
    found.close()


def test_lines_are_whole_and_have_the_words_of_metrics(logs: Logs) -> None:
    """Parts are joined, each stream's its own; what is no line of a container stops nothing."""
    (logs.folder / "pods/no-pod/app").mkdir(parents=True)
    (logs.folder / "pods/no-pod/app/0.log").write_text(f"{stamp()} stdout F not ours\n", encoding="utf-8")
    logs.write(
        "stdout F hello", "stderr P first ", "stdout F between", "stderr P second ", "stderr F third", "stdout F "
    )
    with open(logs.file, "a", encoding="utf-8") as file:
        file.write("nonsense\n")
    logs.write("stdout F the end")
    wait_until(lambda: bool(logs.asked('"the end"')), SECONDS, "the last line")
    lines = logs.asked("*") or []
    said = [(line["stream"], line["_msg"]) for line in lines]
    assert sorted(said) == [
        ("stderr", "first second third"),
        ("stdout", "between"),
        ("stdout", "hello"),
        ("stdout", "the end"),
    ]
    for line in lines:
        assert line.items() >= FIELDS.items()


def restart_store(logs: Logs) -> None:
    """It is away for a while."""
    end(logs.store)
    time.sleep(3)
    logs.store = logs.start_store()


def restart_agent(logs: Logs) -> None:
    """It goes on where it ended."""
    end(logs.agent)
    logs.agent = logs.start_agent()


def kill_agent(logs: Logs) -> None:
    """One that was killed reads at worst some lines again."""
    logs.agent.kill()
    logs.agent.wait()
    logs.agent = logs.start_agent()


def rotate(logs: Logs) -> None:
    """As the kubelet does it."""
    logs.file.rename(logs.file.with_name(f"0.log.{time.strftime('%Y%m%d-%H%M%S')}"))


@pytest.mark.parametrize("happens", [restart_store, restart_agent, kill_agent, rotate])
def test_no_line_is_lost(logs: Logs, happens: Callable[[Logs], None]) -> None:
    """Some lines before, and some after."""
    for number in range(LINES):
        logs.write(f"stdout F line {number}")
        time.sleep(0.01)
        if number == LINES // 2:
            happens(logs)
    wanted = {f"line {number}" for number in range(LINES)}

    def there() -> set[str]:
        return {line["_msg"] for line in logs.asked("line") or []}

    wait_until(lambda: there() == wanted, SECONDS, "all lines")
