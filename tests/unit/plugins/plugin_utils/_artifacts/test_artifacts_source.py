# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs from source, with the real compiler on a small program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts import sources
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError, digest_of
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.sources import (
    Source,
    UnreachableError,
    Wanted,
)

FAMILIES = Path(__file__).resolve().parents[5] / "roles" / "artifacts" / "files" / "go"
PACKAGE = "selfhosted.kubernetes/artifacts/pause"
Build = Callable[..., Path]

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on this machine")


def pause(arch: str = "amd64", **lock: Any) -> Wanted:
    """The program that holds a pod's namespaces, as the lock has it."""
    return Wanted("image-pause", "3.10.2", arch, {"family": "pause", **lock}, {"pause": {"package": PACKAGE}})


@pytest.fixture
def families(tmp_path: Path) -> Path:
    """A copy of its source that a test may change."""
    shutil.copytree(FAMILIES / "pause", tmp_path / "go" / "pause")
    return tmp_path / "go"


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build in a work folder of its own."""

    def once(wanted: Wanted, families: Path = FAMILIES, folder: str = "work") -> Path:
        (tmp_path / folder).mkdir(parents=True)
        return Source(families).get(wanted, tmp_path / folder, lambda _: None)["pause"]

    return once


@needs_go
def test_two_builds_give_the_same_bytes(build: Build, families: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In other folders, from another copy, and whatever the user has set for own builds."""
    first = build(pause())
    for name, value in {"GOFLAGS": "-race", "GOAMD64": "v3", "GOEXPERIMENT": "nojsonv2", "CGO_ENABLED": "1"}.items():
        monkeypatch.setenv(name, value)
    second = build(pause(), families, "elsewhere/deeper")
    assert digest_of(first) == digest_of(second)
    content = first.read_bytes()
    assert content[:4] == b"\x7fELF"
    for path in (os.fsencode(FAMILIES), os.fsencode(first.parent)):
        assert path not in content
    assert os.access(first, os.X_OK)


@needs_go
def test_versions_are_stamped(build: Build, families: Path) -> None:
    """What ldflags in the lock say, the program says."""
    source = 'package main\n\nvar version = "unset"\n\nfunc main() { println(version) }\n'
    (families / "pause" / "main.go").write_text(source, encoding="ascii")
    program = build(pause(ldflags="-X main.version=v1.37.2"), families)
    assert subprocess.run([program], capture_output=True, text=True, check=True).stderr == "v1.37.2\n"


def test_what_the_compiler_is_asked(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For another architecture, with tags, and with nothing of the user's own settings."""
    fake_go(tmp_path, monkeypatch, f'env > {tmp_path}/env; printf "%s\\n" "$@" > {tmp_path}/arguments')
    monkeypatch.setenv("GOARM64", "v9.5")
    monkeypatch.setenv("GOPROXY", "https://proxy.example.org")
    build(pause("arm64", tags="netgo osusergo", ldflags="-X a=b"))
    environment = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines() if "=" in line)
    expected = {"GOOS": "linux", "GOARCH": "arm64", "GOARM64": "", "CGO_ENABLED": "0", "GOWORK": "off"}
    assert {name: environment[name] for name in expected} == expected
    assert environment["GOPROXY"] == "https://proxy.example.org", "how modules are fetched is the user's business"
    assert (tmp_path / "arguments").read_text().splitlines() == [
        *("build", "-o", f"{tmp_path / 'work/bin'}/", "-mod=readonly", "-trimpath", "-buildvcs=false"),
        *("-ldflags", "-s -w -X a=b", "-tags", "netgo osusergo", PACKAGE),
    ]


def waits(pid: int) -> bool:
    """Whether all threads of a process sleep: it has begun, and has nothing to do."""
    stats = [path.read_text(encoding="ascii") for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "S" for stat in stats)


@needs_go
def test_the_program_holds_on_and_ends(build: Build) -> None:
    """What a build gives is what was meant."""
    with subprocess.Popen([build(pause())]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        deadline = time.monotonic() + 30
        while not waits(process.pid):  # A busy machine has not come that far yet.
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.terminate()
        assert process.wait(5) == 0


@needs_go
def test_a_program_that_does_not_compile(build: Build, families: Path) -> None:
    """The compiler's words, and the command that shows them again."""
    (families / "pause" / "main.go").write_text("package main\n\nfunc main() { nothing() }\n", encoding="ascii")
    with pytest.raises(ArtifactError) as caught:
        build(pause(), families)
    text = str(caught.value)
    assert text.startswith(f"building image-pause 3.10.2 (amd64) failed (`cd {families}/pause && go build -o ")
    assert "main.go:3:15: undefined: nothing" in text
    assert text.endswith("The next run goes on from here.")


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        (
            "gcc: fatal error: seccomp.h: No such file",
            r"the C library of libseccomp is missing \(Debian: libseccomp-dev",
        ),
        ("write /tmp/go-build1: no space left on device", "free some space, or set `artifacts_cache_dir`, GOCACHE"),
    ],
)
def test_known_failures_have_a_hint(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, hint: str
) -> None:
    """Instead of the command; what go downloads is not repeated."""
    fake_go(tmp_path, monkeypatch, f"echo 'go: downloading example.org/x v1'; echo '{output}'; exit 1")
    with pytest.raises(ArtifactError, match=rf"failed \({hint}") as caught:
        build(pause())
    assert output in str(caught.value)
    assert "downloading" not in str(caught.value)


def fake_go(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """The only `go` there is."""
    (folder / "bin").mkdir()
    (folder / "bin" / "go").write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    (folder / "bin" / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")


def test_a_long_build_says_that_it_still_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Now and then."""
    said: list[str] = []
    wait = subprocess.Popen.communicate
    monkeypatch.setattr(subprocess.Popen, "communicate", lambda self, timeout: wait(self, timeout=timeout / 150))
    fake_go(tmp_path, monkeypatch, "sleep 0.25")
    (tmp_path / "work").mkdir()
    Source(FAMILIES).get(pause(), tmp_path / "work", said.append)
    assert said[:2] == ["still building, 0 s"] * 2
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("script", [None, "echo 'go: cannot find GOROOT'; exit 2"], ids=["absent", "broken"])
def test_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    """Another source may do."""
    if script:
        fake_go(tmp_path, monkeypatch, script)
    else:
        monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnreachableError, match="building from source needs Go on the control node"):
        Source(FAMILIES).recipe(pause())


def test_c_is_not_cross_compiled(build: Build) -> None:
    """Says what to do instead."""
    other = {"x86_64": "arm64", "aarch64": "amd64"}[os.uname().machine]
    with pytest.raises(ArtifactError, match=f"needs a C compiler for {other}, .*build a bundle on {other}"):
        build(pause(other, cgo=True))


def test_the_recipe_depends_on_all_that_the_bytes_depend_on(
    families: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Architecture, flags, sources, compiler; not on where the sources lie."""
    fake_go(tmp_path, monkeypatch, "echo go1.26.8")
    same = Source(FAMILIES).recipe(pause())
    recipes = [same, *(Source(FAMILIES).recipe(w) for w in (pause("arm64"), pause(ldflags="-X a=b"), pause(tags="x")))]
    assert Source(families).recipe(pause()) == same
    with (families / "pause" / "main.go").open("a", encoding="ascii") as stream:
        stream.write("// changed\n")
    recipes.append(Source(families).recipe(pause()))
    (tmp_path / "bin" / "go").write_text("#!/bin/sh\necho go1.27.0\n", encoding="ascii")
    recipes.append(Source(FAMILIES).recipe(pause()))
    assert len(set(recipes)) == len(recipes)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("go.etcd.io/etcd/etcdctl/v3", "etcdctl"),
        ("example.org/v", "v"),
        ("example.org/vault", "vault"),
    ],
)
def test_names_that_go_gives(package: str, name: str) -> None:
    """A major version is none."""
    assert sources._last(package) == name


def test_every_program_of_the_lock_has_a_family_with_sums() -> None:
    """What is built is pinned by go.sum; names are what hosts ask for."""
    lock = sources_lock()
    families = {
        entry["family"] for component in lock["components"].values() for entry in component["versions"].values()
    } | {image["family"] for image in lock["images"].values()}
    for version in lock["components"]["kubernetes"]["versions"].values():
        for name, paired in version.get("with", {}).items():
            if name in lock["images"]:
                families.add(paired["family"])
            else:
                assert paired in lock["components"][name]["versions"], name
    for family in families:
        module = (FAMILIES / family / "go.mod").read_text(encoding="utf-8")
        assert (FAMILIES / family / "go.sum").is_file() == ("require" in module), family


def sources_lock() -> dict[str, Any]:
    """The real one."""
    lock: dict[str, Any] = yaml.safe_load((FAMILIES.parent / "lock.yml").read_text(encoding="utf-8"))
    assert "sha256:" not in json.dumps(lock), "no digest stands in the repository"
    return lock
