# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host below a temporary folder: real files, a systemd and a store of its own, and a kill at any step."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import binaries, engine
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import STATE_DIR, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEMD = "/etc/systemd/system"
WRITING = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.chmod", "shutil.rmtree"}


class Killed(BaseException):
    """Like SIGKILL: nothing of the product handles it."""


class Killer:
    """Counts what changes a world, and ends the run before a given step. Python's audit events see every change."""

    def __init__(self) -> None:
        self.root = ""
        self.steps: list[str] = []
        self.last = -1
        sys.addaudithook(self._audit)

    @contextmanager
    def before(self, root: Path, step: int = -1) -> Iterator[list[str]]:
        """Watch changes below root; never ends the run without a step."""
        self.root, self.steps, self.last = str(root), [], step
        try:
            yield self.steps
        finally:
            self.root = ""

    def step(self, what: str) -> None:
        """Something is about to change."""
        if self.root:
            self.steps.append(what)
            if len(self.steps) - 1 == self.last:
                self.root = ""
                raise Killed(what)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.root or not arguments:
            return
        writes = event in WRITING or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        path = os.fspath(arguments[0]) if isinstance(arguments[0], (str, os.PathLike)) else ""
        if writes and path.startswith(self.root):
            self.step(f"{event} {path.removeprefix(self.root)}")


KILLER = Killer()
STORE: dict[str, bytes] = {}


def download(url: str, _context: object, part: str, _binary: object) -> None:
    """From the store, without a network."""
    with open(part, "wb") as stream:
        stream.write(STORE[url.rsplit("/", 1)[1]])


@dataclass
class Unit:
    """What systemd knows of a unit: its file when it was read last, and what its process read when it started."""

    loaded: str | None = None
    state: str = "inactive"
    enabled: bool = False
    running: dict[str, bytes | None] = field(default_factory=dict)


def rm(_host: Host, arguments: Sequence[str]) -> None:
    """`rm --recursive --force`."""
    for path in [Path(word) for word in arguments if not word.startswith("--")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def ip(host: Host, arguments: Sequence[str]) -> None:
    """`ip link delete NAME`."""
    host.path(f"/sys/class/net/{arguments[2]}").rmdir()


def nft(host: Host, arguments: Sequence[str]) -> str:
    """`nft list tables` and `nft delete table FAMILY NAME`."""
    tables = host.path("/tables")
    if arguments[0] == "delete":
        (tables / " ".join(arguments[2:])).rmdir()
    return "".join(f"table {path.name}\n" for path in sorted(tables.glob("*")))


REMOVING = {"rm": rm, "ip": ip, "nft": nft, "umount": lambda *_: None}


class World(Host):
    """A host. Its units read the files named by `Reads=` lines; one that read the word `sick` is not healthy."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.users = {"root"}
        self.packages: set[str] = set()
        self.system: dict[str, Unit] = {}
        self.calls: list[str] = []

    # ---- what needs root on a real host
    def ids(self, owner: str, group: str) -> tuple[int, int] | None:
        """Of users that this world knows: whoever runs the tests."""
        return (os.getuid(), os.getgid()) if {owner, group} <= self.users else None

    def user_exists(self, name: str) -> bool:
        """Whether this world knows the user."""
        return name in self.users

    def add_user(self, name: str, home: str, shell: str) -> None:
        """Know a user from now on."""
        KILLER.step(f"useradd {name} {home} {shell}")
        self.users.add(name)

    def missing_packages(self, names: Sequence[str]) -> list[str]:
        """Those not yet installed in this world."""
        return [name for name in names if name not in self.packages]

    def install_packages(self, names: Sequence[str]) -> None:
        """Install them in this world."""
        KILLER.step(f"install {' '.join(names)}")
        self.calls.append(f"install {' '.join(names)}")
        self.packages.update(names)

    def try_run(
        self, argv: Sequence[str], environment: dict[str, str] | None = None, timeout: float = 600
    ) -> CompletedProcess[str]:
        """Programs that exist here: systemctl, journalctl, `check` for a unit's health, `join`, removal."""
        del environment, timeout
        program, *rest = argv
        self.calls.append(" ".join(argv))
        words = [word for word in rest if not word.startswith("--")]
        if program == "journalctl":
            return CompletedProcess(argv, 0, f"last words of {words[0]}\n", "")
        if program == "check":
            unit = self.system[words[0]]
            sick = unit.state != "active" or any(b"sick" in (content or b"") for content in unit.running.values())
            return CompletedProcess(argv, int(sick), "", "it feels sick" if sick else "")
        if program == "join":
            KILLER.step(" ".join(argv))
            if self.system[words[0]].state == "active" or len(words) > 1:
                return CompletedProcess(argv, 1, "", " ".join(words[1:]) or f"{words[0]} runs already")
            self._systemctl("start", words)
            return CompletedProcess(argv, 0, "", "")
        if program in REMOVING:
            KILLER.step(" ".join(argv))
            return CompletedProcess(argv, 0, REMOVING[program](self, rest) or "", "")
        assert program == "systemctl", argv
        if templates := [word for word in words if "@." in word]:
            return CompletedProcess(
                argv, 1, "", f"Unit name {templates[0]} is neither a valid invocation ID nor unit name."
            )
        words = [
            words[0],
            *(name for word in words[1:] for name in (fnmatch.filter(self.system, word) if "*" in word else [word])),
        ]
        if words[0] == "show":
            return CompletedProcess(argv, 0, "\n".join(self._show(name) for name in words[2:]), "")
        KILLER.step(" ".join(argv))
        missing = [name for name in words[1:] if self._read_unit(name) is None and name not in self.system]
        if missing:
            return CompletedProcess(argv, 5, "", f"Unit {missing[0]} not found.")
        self._systemctl(words[0], words[1:])
        return CompletedProcess(argv, 0, "", "")

    def _show(self, name: str) -> str:
        unit = self.system.get(name, Unit())
        enabled = "enabled" if unit.enabled else "disabled" if self._read_unit(name) else ""
        load = "not-found" if unit.state != "active" and self._read_unit(name) is None else "loaded"
        return f"LoadState={load}\nActiveState={unit.state}\nSubState=dead\nUnitFileState={enabled}\n"

    def _read_unit(self, name: str) -> str | None:
        found = self.read(f"{SYSTEMD}/{name}")
        return found.content.decode() if found else None

    def _systemctl(self, verb: str, names: Sequence[str]) -> None:
        if verb == "daemon-reload":
            for name, unit in self.system.items():
                unit.loaded = self._read_unit(name)
        for name in names:
            unit = self.system.setdefault(name, Unit(loaded=self._read_unit(name)))
            if verb in ("stop", "restart"):
                unit.state = "inactive"
            if verb in ("start", "restart", "reload"):
                self._start(unit)
            if verb in ("enable", "disable"):
                unit.enabled = verb == "enable"

    def _start(self, unit: Unit) -> None:
        text = unit.loaded or ""
        paths = [line.removeprefix("Reads=") for line in text.splitlines() if line.startswith("Reads=")]
        unit.running = {path: found.content if (found := self.read(path)) else None for path in paths}
        unit.running["unit"] = text.encode()
        unit.state = "failed" if any(b"crash" in (content or b"") for content in unit.running.values()) else "active"

    # ---- for tests
    def copy(self, root: Path) -> World:
        """The same world again, for another future."""
        shutil.copytree(self.root, root, dirs_exist_ok=True)
        other = World(root)
        other.users, other.packages = set(self.users), set(self.packages)
        other.system = deepcopy(self.system)
        return other

    def other_unit(self, name: str, *reads: str) -> None:
        """A unit of the distribution, which runs."""
        self.path(SYSTEMD).mkdir(parents=True, exist_ok=True)
        self.path(f"{SYSTEMD}/{name}").write_text("".join(f"Reads={path}\n" for path in reads))
        self.system[name] = Unit(loaded=self._read_unit(name), enabled=True)
        self._start(self.system[name])

    def binary(self, name: str, content: bytes) -> dict[str, Any]:
        """A program, put into the store."""
        digest = hashlib.sha256(content).hexdigest()
        STORE[digest] = content
        version = {"sha256": digest, "size": len(content), "version": digest[:4]}
        return {"name": name, "dest": f"/usr/local/bin/{name}", **version}

    def apply(self, *components: dict[str, Any], rolling: bool = False, check: bool = False) -> dict[str, Any]:
        """One call of the module."""
        return engine.run(self, list(components), {"urls": ["https://store"]}, rolling, check)

    def text(self, path: str) -> str | None:
        """A file's content; None when absent."""
        found = self.read(path)
        return found.content.decode() if found else None

    def tree(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file: mode, time of change, content."""
        paths = [path for path in self.root.rglob("*") if not path.is_dir()]
        return {str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes()) for path in paths}

    def assert_converged(self, *components: dict[str, Any]) -> None:
        """Everything is as wanted, every process runs with what the files say, and nothing is left over."""
        for spec in components:
            for item in spec["files"]:
                found = self.read(item["dest"])
                assert found is not None, item["dest"]
                assert (found.content, found.mode) == (item["bytes"], int(item["mode"], 8)), item["dest"]
            for item in spec["binaries"]:
                assert binaries.file_digest(self.path(item["dest"])) == item["sha256"]
            assert self.user_exists(spec["user"]["name"])
            assert set(spec["packages"]) <= self.packages
            assert self.system[spec["unit"]["name"]].enabled
        for name, unit in self.system.items():
            assert unit.state == "active", name
            assert unit.loaded == self._read_unit(name), name
            for path, content in unit.running.items():
                wanted = (unit.loaded or "").encode() if path == "unit" else self.content(path)
                assert content == wanted, (name, path, content, wanted)
        self.assert_tidy()

    def content(self, path: str) -> bytes | None:
        """A file's bytes; None when absent."""
        found = self.read(path)
        return found.content if found else None

    def assert_tidy(self) -> None:
        """No mark, no backup, no temporary file."""
        assert not list(self.path(f"{STATE_DIR}/components").glob("*.pending"))
        assert not list(self.path(f"{STATE_DIR}/previous").glob("*"))
        left = [str(path) for path in self.root.rglob(".*") if path.is_file()]
        assert not left, left


def file(
    dest: str, content: str, *, secret: bool = False, mode: str = "0644", restarts: str | None = None
) -> dict[str, Any]:
    """A file as the action plugin sends it."""
    owner = {"owner": "root", "group": "root", "mode": mode}
    return {"dest": dest, "bytes": content.encode(), "secret": secret, "restarts": restarts, **owner}


def component(name: str, *files: dict[str, Any], flag: str = "", **more: Any) -> dict[str, Any]:
    """A component as the action plugin sends it, with a unit that reads its files and its program."""
    programs = more.get("binaries", [])
    reads = [item["dest"] for item in files if item["restarts"] is None] + [item["dest"] for item in programs]
    text = "".join(f"Reads={path}\n" for path in reads) + f"Flag={flag}\n"
    return {
        "name": name,
        "packages": [],
        "user": {"name": name, "home": "/nonexistent", "shell": "/usr/sbin/nologin"},
        "binaries": [],
        "directories": [{"path": f"/var/lib/{name}", "owner": name, "group": name, "mode": "0700"}],
        "files": [*files, file(f"{SYSTEMD}/{name}.service", text)],
        "unit": {"name": f"{name}.service", "content": text, "reload": False},
        "health": {"command": ["check", f"{name}.service"], "timeout_seconds": 0.01},
        "rolling": False,
        **more,
    }
