# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with the layout of upstream's release hosts, and a lock of programs that take no time to build."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts import engine
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.sources import Progress, Wanted

LOCK: dict[str, Any] = {
    "components": {
        "kubernetes": {
            "versions": {
                "1.37.2": {
                    "family": "toy",
                    "programs": {"kubelet": {"package": "toy/kubelet"}, "kubectl": {"package": "toy/kubectl"}},
                    "release": {
                        "url": "https://dl.k8s.io/release/v1.37.2/bin/linux/{arch}/{program}",
                        "checksum": "https://dl.k8s.io/release/v1.37.2/bin/linux/{arch}/{program}.sha256",
                    },
                }
            }
        },
        "crane": {"versions": {"0.22.1": {"family": "toy", "programs": {"crane": {"package": "toy/crane"}}}}},
    },
    "images": {
        "pause": {
            "ref": "registry.k8s.io/pause:3.10.2",
            "family": "toy",
            "package": "toy/pause",
            "path": "/pause",
            "user": "65535:65535",
        }
    },
}


@dataclass
class Upstream:
    """What the release hosts have, by path below the mirror's base URL: body, status, and headers that lie."""

    base: str = ""
    files: dict[str, tuple[bytes, int, dict[str, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Serve a file."""
        self.files[path] = (body, status, {name.replace("_", "-"): value for name, value in headers.items()})


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    """Answers at once; what it does not have is 404."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            body, status, headers = served.files.get(self.path, (b"no such file", 404, {}))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def sha256(content: bytes) -> str:
    """In hexadecimal, as checksum files have it."""
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(name="sha256", scope="session")
def sha256_fixture() -> Callable[[bytes], str]:
    """The function of that name."""
    return sha256


@pytest.fixture(scope="session")
def archive() -> Callable[[dict[str, bytes]], bytes]:
    """A tar.gz of files, and of a folder when a name ends with a slash."""

    def make(members: dict[str, bytes]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as made:
            for name, content in members.items():
                entry = tarfile.TarInfo(name.rstrip("/"))
                entry.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
                entry.size = len(content)
                made.addfile(entry, io.BytesIO(content))
        return stream.getvalue()

    return make


@pytest.fixture
def kubernetes(upstream: Upstream) -> dict[str, bytes]:
    """Programs that upstream has, with their checksum files; bytes by name."""
    programs = {"kubelet": b"kubelet of upstream" * 100, "kubectl": b"kubectl of upstream" * 100}
    for name, content in programs.items():
        path = f"/dl.k8s.io/release/v1.37.2/bin/linux/amd64/{name}"
        upstream.put(path, content)
        upstream.put(f"{path}.sha256", sha256(content).encode())
    return programs


@pytest.fixture
def wanted() -> Wanted:
    """Kubernetes, as the lock has it."""
    lock = LOCK["components"]["kubernetes"]["versions"]["1.37.2"]
    return Wanted("kubernetes", "1.37.2", "amd64", lock, lock["programs"])


class Toy:
    """Stands for the compiler: gives each program its name as content, and counts."""

    name = "source"
    builds: list[str]
    broken: Exception | None

    def __init__(self, _families: Path) -> None:
        pass

    def recipe(self, wanted: Wanted) -> str:
        """Of the programs alone."""
        return sha256(json.dumps(sorted(wanted.programs)).encode())

    def get(self, wanted: Wanted, work: Path, progress: Progress) -> dict[str, Path]:
        """Take no time."""
        if (error := type(self).broken) is not None:
            raise error
        progress("building")
        type(self).builds.append(wanted.name)
        made = {program: work / program for program in wanted.programs}
        for program, path in made.items():
            path.write_bytes(f"{program} for {wanted.arch} from source\n".encode())
        return made


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Toy]:
    """The engine has the small lock and this compiler."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "lock.yml").write_text(json.dumps(LOCK), encoding="utf-8")
    monkeypatch.setattr(engine, "FILES", tmp_path / "files")
    monkeypatch.setattr(engine, "NATIVE", "amd64")
    monkeypatch.setattr(engine, "Source", Toy)
    monkeypatch.setattr(Toy, "builds", [], raising=False)
    monkeypatch.setattr(Toy, "broken", None, raising=False)
    return Toy


@pytest.fixture
def said() -> list[str]:
    """What runs have shown."""
    return []


@pytest.fixture
def artifacts(toy: type[Toy], tmp_path: Path, said: list[str]) -> Callable[..., engine.Artifacts]:
    """A new run with options, on the same cache."""
    assert toy is Toy

    def make(**options: Any) -> engine.Artifacts:
        given = {
            "kubernetes_version": "1.37.2",
            "architectures": ["amd64"],
            "services": [],
            "source": "source",
            "mirror": "",
            "cache_dir": str(tmp_path / "cache"),
            "pins": str(tmp_path / "inventory" / "artifacts.pins.json"),
            "check": False,
        }
        return engine.Artifacts({**given, **options}, said.append)

    return make
