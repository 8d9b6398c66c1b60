# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images copied from a registry with the layout of upstream's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.engine import Artifacts

BASE = "/registry.k8s.io/v2/pause"
TAG = f"{BASE}/manifests/3.10.2"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OTHERS = [("windows", "amd64"), ("unknown", "unknown"), ("linux", "s390x")]


def digest(content: bytes) -> str:
    """As descriptors have it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry:
    """Has pause for some platforms; bytes as they were served, by name."""

    def __init__(self, upstream: Any) -> None:
        self.upstream = upstream
        self.served: dict[str, bytes] = {}

    def blob(self, name: str, content: bytes, kind: str = "blobs") -> dict[str, Any]:
        """Serve content by its digest; returns its descriptor."""
        self.served[name] = content
        self.upstream.put(f"{BASE}/{kind}/{digest(content)}", content)
        return {"digest": digest(content), "size": len(content)}

    def manifest(self, arch: str, layers: tuple[bytes, ...] = (b"layer", b"layer")) -> dict[str, Any]:
        """An image of two layers that are the same, as empty ones are."""
        config = json.dumps({"os": "linux", "architecture": arch, "for": "pause"}).encode()
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(f"config {arch}", config),
            "layers": [self.blob(f"layer {arch}", layer + arch.encode()) for layer in layers],
        }
        described = self.blob(f"manifest {arch}", json.dumps(document, indent=3).encode(), "manifests")
        return {**described, "mediaType": MANIFEST, "platform": {"os": "linux", "architecture": arch}}

    def tag(self, *arches: str, **more: Any) -> None:
        """Point the tag at an index of these and of platforms that nobody here wants."""
        entries = [{"platform": {"os": os, "architecture": arch}, "digest": "sha256:0"} for os, arch in OTHERS]
        entries += [self.manifest(arch) for arch in arches]
        self.upstream.put(TAG, json.dumps({"mediaType": INDEX, "manifests": entries, **more}).encode())


@pytest.fixture
def registry(upstream: Any, kubernetes: dict[str, bytes]) -> Registry:
    """Beside the programs of the lock, so that a whole run can be from upstream."""
    assert kubernetes
    made = Registry(upstream)
    made.tag("amd64", "arm64")
    return made


@pytest.fixture
def run(artifacts: Callable[..., Artifacts], upstream: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A run with upstream below a mirror's base URL, by default without any other source: its image."""

    def once(**options: Any) -> dict[str, Any]:
        made = artifacts(**{"source": "mirror", "mirror": upstream.base, **options})
        # Only in this lock crane has no release.
        monkeypatch.delitem(made.lock["components"], "crane")
        image: dict[str, Any] = made.run()["images"]["pause"]
        return image

    return once


def layout(image: dict[str, Any]) -> dict[str, bytes]:
    """Content of a layout by digest; each file has the digest that is its name."""
    files = {f"sha256:{path.name}": path.read_bytes() for path in (Path(image["layout"]) / "blobs/sha256").iterdir()}
    assert {name: digest(content) for name, content in files.items()} == {name: name for name in files}
    return files


def test_an_image_is_copied_as_it_is(run: Callable[..., Any], registry: Registry, tmp_path: Path) -> None:
    """The wanted platform alone, by its own manifest; the tag's meaning is pinned."""
    image = run()
    index = (Path(image["layout"]) / "index.json").read_bytes()
    assert image["digest"] == digest(index)
    assert json.loads(index)["manifests"] == [
        {
            "mediaType": MANIFEST,
            "digest": digest(registry.served["manifest amd64"]),
            "size": len(registry.served["manifest amd64"]),
            "platform": {"architecture": "amd64", "os": "linux"},
        }
    ]
    assert set(layout(image).values()) == {
        content for name, content in registry.served.items() if name.endswith(" amd64")
    }
    pins = json.loads((tmp_path / "inventory" / "artifacts.pins.json").read_text())
    assert pins[f"{registry.upstream.base.split('://')[1]}{TAG}"] == digest(registry.upstream.files[TAG][0])[7:]


def test_nothing_is_asked_twice(run: Callable[..., Any], registry: Registry) -> None:
    """Equal layers are one download, and a second run has it in the cache."""
    image = run()
    assert len(registry.upstream.asked) == len(set(registry.upstream.asked))
    registry.upstream.asked.clear()
    assert run() == image
    assert registry.upstream.asked == []


def test_all_architectures(run: Callable[..., Any], registry: Registry) -> None:
    """One index for hosts of both."""
    for arch in ("amd64", "arm64"):
        for name in ("kubelet", "kubectl"):
            path, body = f"/dl.k8s.io/release/v1.37.2/bin/linux/{arch}/{name}", name.encode()
            registry.upstream.put(path, body)
            registry.upstream.put(f"{path}.sha256", digest(body)[7:].encode())
    image = run(architectures=["amd64", "arm64"])
    assert set(layout(image).values()) == set(registry.served.values())


def test_a_tag_without_an_index(run: Callable[..., Any], registry: Registry) -> None:
    """Upstream has one platform only, and that is the wanted one."""
    registry.upstream.put(TAG, registry.served["manifest amd64"])
    assert digest(registry.served["manifest amd64"]) in layout(run())


@pytest.mark.parametrize("index", [True, False])
def test_no_image_for_the_platform(run: Callable[..., Any], registry: Registry, index: bool) -> None:
    """Says which; without an index the image's config tells."""
    if index:
        registry.tag("arm64")
    else:
        registry.upstream.put(TAG, registry.served["manifest arm64"])
    with pytest.raises(ArtifactError, match=r"^registry.k8s.io/pause:3\.10\.2 has no image for linux/amd64$"):
        run()


@pytest.mark.parametrize("part", ["manifest amd64", "config amd64", "layer amd64"])
def test_a_wrong_part(run: Callable[..., Any], registry: Registry, part: str) -> None:
    """Both digests are named, nothing is kept, and the next run goes on."""
    kind = "manifests" if part.startswith("manifest") else "blobs"
    path = f"{BASE}/{kind}/{digest(registry.served[part])}"
    registry.upstream.put(path, b"{}")
    with pytest.raises(ArtifactError, match=rf"wrong checksum: its manifest says {digest(registry.served[part])}, the"):
        run()
    registry.upstream.put(path, registry.served[part])
    assert layout(run())


def test_a_part_that_was_cut_off(run: Callable[..., Any], registry: Registry) -> None:
    """As of any download."""
    body = registry.served["layer amd64"]
    path = f"{BASE}/blobs/{digest(body)}"
    registry.upstream.put(path, body[:3], Content_Length=str(len(body)))
    with pytest.raises(ArtifactError, match=rf"{path}: the download was cut off after 3 of {len(body)} bytes"):
        run()


def test_a_tag_that_moved(run: Callable[..., Any], registry: Registry, tmp_path: Path) -> None:
    """The user decides, as for any release."""
    run()
    registry.tag("amd64", "arm64", annotations={"rebuilt": "yes"})
    with pytest.raises(ArtifactError, match=r"manifests/3\.10\.2 is not what it was: pinned \w{64} in .*, now \w{64}"):
        run(cache_dir=str(tmp_path / "other"))


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[]", b'"text"', b'{"schemaVersion": 1}', b"\xff\xfe"])
def test_an_answer_that_is_no_image(run: Callable[..., Any], registry: Registry, body: bytes) -> None:
    """A page to sign in, say."""
    registry.upstream.put(TAG, body)
    with pytest.raises(ArtifactError, match=r"pause:3\.10\.2: .* answered with something that is no image"):
        run()


def test_a_mirror_of_programs_alone(
    run: Callable[..., Any], registry: Registry, toy: Any, said: list[str], upstream: Any
) -> None:
    """Without another source the error names the image; with one it is built, and programs are still the mirror's."""
    assert TAG in registry.upstream.files
    del upstream.files[TAG]
    with pytest.raises(ArtifactError, match=r"image-pause 3\.10\.2 .* no source: .* has no release: .* answered 404"):
        run()
    assert layout(run(source="auto"))
    assert toy.builds == ["image-pause"]
    assert not [line for line in said if "going on with the next source" in line]


def test_a_proxy_that_reaches_nothing(run: Callable[..., Any], registry: Registry, toy: Any, said: list[str]) -> None:
    """It answers for hosts that are down: said once, and everything is built."""
    for path in list(registry.upstream.files):
        registry.upstream.put(path, b"gateway", 503)
    assert layout(run(source="auto"))
    assert toy.builds == ["kubernetes", "image-pause"]
    assert len([line for line in said if "cannot be reached: 503" in line]) == 1


def test_a_bundle_has_copied_images(
    run: Callable[..., Any],
    artifacts: Callable[..., Artifacts],
    registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From it, in an empty cache and without upstream, comes the same image."""
    image = run()
    made = artifacts(source="mirror", mirror=registry.upstream.base)
    monkeypatch.delitem(made.lock["components"], "crane")
    made.bundle(tmp_path / "bundle.tar")
    registry.upstream.files.clear()
    again = run(mirror=str(tmp_path / "bundle.tar"), cache_dir=str(tmp_path / "other"))
    assert again["digest"] == image["digest"]
    assert layout(again) == layout(image)
