# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The suite's lock and images, with stand-ins for the compiler and for mmdebstrap."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.engine import NATIVE
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.image import write_layout
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._conformance import images
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._conformance.suite import FILES, Suite

ROOT = Path(__file__).resolve().parents[5]
GO = """#!/bin/sh
if [ "$1" = env ]; then echo go1.26.8; exit; fi
echo "$*" >>{log}
while [ "$1" != -o ]; do shift; done
case "$2" in */) echo ginkgo >"$2ginkgo" ;; *) echo tests >"$2" ;; esac
"""
MMDEBSTRAP = """#!/bin/sh
for last; do :; done
mkdir -p root/bin && echo shell >root/bin/sh && tar -C root -cf "$last" .
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs in place of the real ones; what the compiler was told."""
    (tmp_path / "bin").mkdir()
    for name, text in (("go", GO.format(log=tmp_path / "log")), ("mmdebstrap", MMDEBSTRAP)):
        (tmp_path / "bin" / name).write_text(text, encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "log"


def suite(folder: Path, **options: Any) -> Suite:
    """For a cache in the folder, with an agnhost that is a text."""
    layout = folder / "agnhost"
    if not layout.exists():
        (folder / "program").write_text("agnhost's bytes", encoding="utf-8")
        write_layout(layout, {"path": "/agnhost", "user": "0:0"}, {NATIVE: folder / "program"})
    given = {"version": "1.37.2", "source": "source", "images": "built", "check": False, **options}
    return Suite(
        {"cache_dir": str(folder / "cache"), "pins": folder / "pins", "agnhost": str(layout), **given},
        lambda _text: None,
    )


def test_every_version_has_a_suite() -> None:
    """Of those that can be installed."""
    artifacts = yaml.safe_load((ROOT / "roles/artifacts/files/lock.yml").read_text(encoding="utf-8"))
    lock = yaml.safe_load((FILES / "lock.yml").read_text(encoding="utf-8"))
    versions = lock["components"]["conformance"]["versions"]
    newest = next(iter(artifacts["components"]["kubernetes"]["versions"]))
    assert newest in versions
    for version, entry in versions.items():
        module = (FILES / "go" / entry["family"] / "go.mod").read_text(encoding="utf-8")
        assert f"k8s.io/kubernetes v{version} " in module
        assert f"gitVersion=v{version} " in entry["ldflags"]


def test_programs_are_built_once(log: Path, tmp_path: Path) -> None:
    """The runner as a program, the suite as the tests of a package."""
    first, second = suite(tmp_path).have(), suite(tmp_path)
    assert second.have()["programs"] == first["programs"]
    assert second.made == []
    assert Path(first["programs"]["e2e.test"]).read_text(encoding="utf-8") == "tests\n"
    assert Path(first["programs"]["ginkgo"]).read_text(encoding="utf-8") == "ginkgo\n"
    build, test = log.read_text(encoding="utf-8").splitlines()
    assert build.startswith("build -o ")
    assert build.endswith("github.com/onsi/ginkgo/v2/ginkgo")
    assert test.startswith("test -c -vet=off -o ")
    assert test.endswith("k8s.io/kubernetes/test/e2e")
    assert "gitVersion=v1.37.2" in test


@pytest.mark.usefixtures("log")
def test_images_are_layouts_that_share_their_layers(tmp_path: Path) -> None:
    """All names and tags, each with its own command."""
    had = suite(tmp_path).have()
    assert had["registries"] == {"promoterE2eRegistry": "registry.k8s.io/conformance"}
    refs = {image["ref"].rsplit("/", 1)[1]: image for image in had["images"]}
    assert {"agnhost:2.66.1", "busybox:1.37.0-2", "nginx:1.28.0-2"} <= refs.keys()
    layers = set()
    for name, image in refs.items():
        layout = Path(image["layout"])
        raw = (layout / "index.json").read_bytes()
        assert image["digest"] == f"sha256:{hashlib.sha256(raw).hexdigest()}"
        manifest = read(layout, json.loads(raw)["manifests"][0])
        config = read(layout, manifest["config"])["config"]
        assert {key: config.get(key) for key in ("Entrypoint", "Cmd")} == {
            "Entrypoint": None,
            **images.COMMANDS[name.partition(":")[0]],
        }
        layers.add(tuple(layer["digest"] for layer in manifest["layers"]))
    ((_base, top),) = layers
    with tarfile.open(layout / "blobs" / top.replace(":", "/")) as archive:
        stream = archive.extractfile("agnhost")
        assert stream
        assert stream.read() == b"agnhost's bytes"
    assert suite(tmp_path).have() == had


def read(layout: Path, entry: dict[str, Any]) -> Any:
    """A blob that is a document, verified."""
    raw = (layout / "blobs" / entry["digest"].replace(":", "/")).read_bytes()
    assert (len(raw), f"sha256:{hashlib.sha256(raw).hexdigest()}") == (entry["size"], entry["digest"])
    return json.loads(raw)


@pytest.mark.usefixtures("log")
def test_upstreams_images_need_nothing(tmp_path: Path) -> None:
    """And the suite is told nothing."""
    had = suite(tmp_path, images="upstream", agnhost="/nowhere").have()
    assert (had["images"], had["registries"]) == ([], {})


@pytest.mark.usefixtures("log")
def test_what_cannot_be_had_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do."""
    with pytest.raises(ArtifactError, match=r"there is no test suite of 1\.20\.0, only of 1\.37\.2"):
        suite(tmp_path, version="1.20.0").have()
    (tmp_path / "bin/mmdebstrap").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ArtifactError, match="conformance_images: upstream"):
        images.write(tmp_path / "x", {"busybox": ["1"]}, tmp_path)
