# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes against real sockets, and waiting."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import health
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import Host
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.tls import (
    certificate,
    serve,
)


@pytest.fixture
def service(root: Path) -> Iterator[str]:
    """Healthy at /ok, sick elsewhere; its CA lies on the host."""
    pem = certificate(root)

    def answer(path: str) -> tuple[int, bytes, int]:
        return (200, b"ok", 2) if path == "/ok" else (503, b"etcd failed", 11)

    with serve(pem, answer) as url:
        yield url


def test_url(root: Path, service: str) -> None:
    """By status; the CA and a client's certificate are paths on the host."""
    host = Host(str(root))
    pair = {"ca": "/server.pem", "cert": "/server.pem", "key": "/server.pem"}
    assert health.probe(host, {"url": f"{service}/ok", **pair}) == ""
    assert health.probe(host, {"url": f"{service}/no", **pair}) == f"{service}/no answered 503 etcd failed"
    assert health.probe(host, {"url": f"{service}/no", **pair, "status": [503]}) == ""
    assert "answered 200" in health.probe(host, {"url": f"{service}/ok", **pair, "status": [401, 403]})


def test_url_that_cannot_be_asked(root: Path, service: str) -> None:
    """Each is a complaint, and none a traceback."""
    host = Host(str(root))
    assert "certificate verify failed" in health.probe(host, {"url": f"{service}/ok"})
    assert "No such file" in health.probe(host, {"url": f"{service}/ok", "ca": "/absent.pem"})
    assert "refused" in health.probe(host, {"url": "http://127.0.0.1:1/"})


def test_url_answered_by_something_that_is_not_http(root: Path) -> None:
    """For example an ssh server on the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def answer() -> None:
            peer = server.accept()[0]
            peer.recv(1000)
            peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert "SSH-2.0" in health.probe(Host(str(root)), {"url": f"http://127.0.0.1:{port}/"})
        thread.join()


def test_tcp(root: Path) -> None:
    """Whether somebody listens, for both address families."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert health.probe(Host(str(root)), {"tcp": f"127.0.0.1:{server.getsockname()[1]}"}) == ""
    assert "refused" in health.probe(Host(str(root)), {"tcp": "127.0.0.1:1"})
    assert health.probe(Host(str(root)), {"tcp": "[::1]:1"}).startswith("[::1]:1: ")


def test_command(root: Path) -> None:
    """By exit code; what it said is in the complaint."""
    host = Host(str(root))
    assert health.probe(host, {"command": ["true"]}) == ""
    assert health.probe(host, {"command": ["sh", "-c", "echo why >&2; exit 3"]}).endswith("ended with 3: why")
    assert "ended with 127" in health.probe(host, {"command": ["/no/such/program"]})


class Slow(Host):
    """A unit that goes through the given states, one each time it is asked."""

    def __init__(self, *states: str) -> None:
        super().__init__("/nowhere")
        self.states = list(states)

    def units(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """The next state."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {names[0]: {"ActiveState": state, "SubState": "x"}}

    def try_run(self, argv: Sequence[str], environment: Any = None, timeout: float = 600) -> CompletedProcess[str]:
        """A health command that always succeeds."""
        del environment, timeout
        return CompletedProcess(list(argv), 0, "", "")


@pytest.mark.parametrize(
    ("states", "complaint"),
    [
        (["inactive", "activating", "activating", "active"], ""),
        (["activating", "failed", "active"], "toy.service failed (x)"),
        (["activating"], "toy.service is activating (x)"),
    ],
)
def test_waiting(states: list[str], complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is being started it is waited for; what failed is not."""
    monkeypatch.setattr(health, "INTERVAL_SECONDS", 0.001)
    assert health.wait(Slow(*states), "toy.service", {"command": ["true"]}, 0.05) == complaint
