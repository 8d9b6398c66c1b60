# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which source is asked, what a run gives, and what comes out of a bundle."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts import engine
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError, Cache
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.engine import Artifacts
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.sources import (
    Release,
    Source,
    UnreachableError,
)

Make = Callable[..., Artifacts]
Digest = Callable[[bytes], str]
ALL = ["kubernetes", "crane", "image-pause"]
NOWHERE = "http://127.0.0.1:9"


def content(artifacts: Artifacts, result: dict[str, Any], arch: str, name: str) -> bytes:
    """What the artifact store would get."""
    return (artifacts.cache.content / str(result["files"][arch][name]["sha256"])).read_bytes()


def sources_of(artifacts: Artifacts) -> dict[str, str]:
    """Which source gave what, in this run."""
    return {item["name"].split(" ")[0]: item["source"] for item in artifacts.made}


# ---- what a run gives
def test_files_by_architecture_and_name(artifacts: Make, sha256: Digest, said: list[str]) -> None:
    """With digest, size and version; images apart, each with its layout; progress in words."""
    run = artifacts()
    result = run.run()
    programs = result["files"]["amd64"]
    body = b"kubelet for amd64 from source\n"
    assert programs["kubelet"] == {"sha256": sha256(body), "size": len(body), "version": "1.37.2"}
    assert sorted(programs) == ["crane", "kubectl", "kubelet"]
    assert result["digests"] == sorted(file["sha256"] for file in programs.values())
    image = result["images"]["pause"]
    assert image["ref"] == "registry.k8s.io/pause:3.10.2"
    assert image["digest"] == f"sha256:{sha256((Path(image['layout']) / 'index.json').read_bytes())}"
    assert image["pinned"] == f"{image['ref']}@{image['digest']}"
    expected = ["kubernetes 1.37.2 (amd64)", "crane 0.22.1 (amd64)", "image-pause 3.10.2 (amd64)"]
    assert [item["name"] for item in run.made] == expected
    assert "artifacts: 1 of 3: kubernetes 1.37.2 (amd64): kubelet, kubectl: building [0:00 elapsed]" in said
    assert not run.cache.work.exists()


def test_the_second_run_makes_nothing(artifacts: Make, toy: Any, said: list[str]) -> None:
    """And says nothing."""
    first = artifacts().run()
    toy.builds.clear()
    said.clear()
    again = artifacts()
    assert again.run() == first
    assert (toy.builds, said, again.made) == ([], [], [])


def test_other_architectures(artifacts: Make) -> None:
    """Crane is for the control node alone, whatever the hosts are; an image has all of theirs."""
    result = artifacts(architectures=["amd64", "arm64"]).run()
    assert sorted(result["files"]["arm64"]) == ["kubectl", "kubelet"]
    index = json.loads((Path(result["images"]["pause"]["layout"]) / "index.json").read_text())
    assert [item["platform"]["architecture"] for item in index["manifests"]] == ["amd64", "arm64"]
    foreign = artifacts(architectures=["arm64"]).run()
    assert {arch: sorted(files) for arch, files in foreign["files"].items()} == {
        "arm64": ["kubectl", "kubelet"],
        "amd64": ["crane"],
    }


def test_an_image_is_made_again_when_the_lock_says_something_else(artifacts: Make) -> None:
    """Also when its program is the same."""
    before = artifacts().run()["images"]["pause"]
    run = artifacts()
    run.lock["images"]["pause"]["user"] = "0:0"
    after = run.run()["images"]["pause"]
    assert before["digest"] != after["digest"]
    assert not run.made


def test_check_mode_names_what_is_missing(artifacts: Make, toy: Any) -> None:
    """And makes nothing."""
    run = artifacts(check=True)
    result = run.run()
    assert run.missing == ["kubernetes 1.37.2 (amd64)", "crane 0.22.1 (amd64)", "image-pause 3.10.2 (amd64)"]
    assert (toy.builds, result["images"], result["files"]) == ([], {}, {"amd64": {}})
    done = artifacts().run()
    predicted = artifacts(check=True)
    assert predicted.run() == done
    assert predicted.missing == []


def test_a_version_that_the_lock_does_not_have(artifacts: Make) -> None:
    """Says which there are."""
    with pytest.raises(
        ArtifactError, match=r"cluster_kubernetes_version: 1\.40\.0 is not in the lock; there are 1\.37"
    ):
        artifacts(kubernetes_version="1.40.0").run()


def test_what_an_older_version_goes_with(artifacts: Make) -> None:
    """Its own programs and images where the lock pairs them, the newest otherwise."""
    run = artifacts(kubernetes_version="1.36.3")
    components = run.lock["components"]
    older, other = deepcopy(components["kubernetes"]["versions"]["1.37.2"]), deepcopy(components["crane"]["versions"])
    components["kubernetes"]["versions"]["1.36.3"] = older | {"with": {"crane": "0.21.0", "pause": {"ref": "p:3.9"}}}
    components["crane"]["versions"] = other | {"0.21.0": other["0.22.1"]}
    result = run.run()
    assert result["files"]["amd64"]["crane"]["version"] == "0.21.0"
    assert result["images"]["pause"]["ref"] == "p:3.9"
    assert [item["name"].split()[1] for item in run.made] == ["1.36.3", "0.21.0", "3.9"]
    run.options["kubernetes_version"] = "1.37.2"
    assert {item.version for item in run.wanted()} == {"1.37.2", "0.22.1", "3.10.2"}


def test_an_interrupted_run_goes_on(
    artifacts: Make, toy: Any, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished is kept, what was half-done is not."""
    get = toy.get

    def interrupted(self: Any, wanted: Any, work: Path, progress: Any) -> dict[str, Path]:
        if wanted.name == "crane":
            (work / "half").write_bytes(b"half")
            raise KeyboardInterrupt
        made: dict[str, Path] = get(self, wanted, work, progress)
        return made

    with monkeypatch.context() as patched:
        patched.setattr(toy, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            artifacts().run()
    assert toy.builds == ["kubernetes"]
    toy.builds.clear()
    said.clear()
    artifacts().run()
    assert toy.builds == ["crane", "image-pause"]
    # What is left, not what is wanted.
    assert [line.split(": ")[1] for line in said if "from source" in line] == ["1 of 2", "2 of 2"]


def test_a_full_disk_of_the_cache(artifacts: Make, toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The action says what to do; the next run goes on."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "put", full)
        with pytest.raises(OSError, match="No space left"):
            artifacts().run()
    toy.builds.clear()
    artifacts().run()
    assert toy.builds == ALL


# ---- which source
def test_auto_takes_what_upstream_has_and_builds_the_rest(
    artifacts: Make, upstream: Any, kubernetes: dict[str, bytes]
) -> None:
    """Crane and images have no release here."""
    run = artifacts(source="auto", mirror=upstream.base)
    result = run.run()
    assert sources_of(run) == {"kubernetes": "release", "crane": "source", "image-pause": "source"}
    assert content(run, result, "amd64", "kubelet") == kubernetes["kubelet"]


@pytest.mark.parametrize("source", ["release", "mirror"])
def test_what_upstream_never_releases_is_compiled(
    artifacts: Make, upstream: Any, kubernetes: dict[str, bytes], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where releases were chosen; images are copied or not had."""
    assert kubernetes
    monkeypatch.setattr(Release, "_mirrored", lambda _self, url: url.replace("https://", f"{upstream.base}/"))
    run = artifacts(source=source, mirror=upstream.base)
    run.lock["images"] = {}
    run.run()
    assert sources_of(run) == {"kubernetes": "release", "crane": "source"}


def test_what_only_other_services_need_is_left_out(artifacts: Make, toy: Any) -> None:
    """Nobody waits for a program that nobody runs."""
    names = []
    for services in ([], ["monitoring"]):
        run = artifacts(services=services)
        run.lock["components"]["kubernetes"]["service"] = "monitoring"
        names.append({item.name for item in run.wanted()})
    assert toy.builds == []
    assert names[1] - names[0] == {"kubernetes"}


def test_auto_falls_through_when_unreachable(artifacts: Make, toy: Any, said: list[str]) -> None:
    """It says so once, does not ask again, and has everything in the end."""
    run = artifacts(source="auto", mirror=NOWHERE)
    run.lock["components"]["crane"]["versions"]["0.22.1"]["release"] = {"url": "https://example.org/crane"}
    run.run()
    assert set(sources_of(run).values()) == {"source"}
    assert toy.builds == ALL
    assert len([line for line in said if "from release" in line]) == 1
    assert len([line for line in said if "cannot be reached" in line]) == 1
    assert "going on with the next source" in "".join(said)


def test_auto_does_not_build_what_upstream_has_with_a_wrong_checksum(
    artifacts: Make, upstream: Any, kubernetes: dict[str, bytes], toy: Any
) -> None:
    """Someone should know."""
    assert kubernetes
    upstream.put("/dl.k8s.io/release/v1.37.2/bin/linux/amd64/kubectl", b"something else")
    with pytest.raises(ArtifactError, match="kubectl: wrong checksum"):
        artifacts(source="auto", mirror=upstream.base).run()
    assert toy.builds == []
    with Cache(artifacts().cache.folder.as_posix()).locked(print):
        assert list(artifacts().cache.content.iterdir()) == [], "nothing half-installed"


def test_what_was_downloaded_is_used_when_upstream_is_gone(
    artifacts: Make, upstream: Any, kubernetes: dict[str, bytes]
) -> None:
    """The cache is asked before any source."""
    first = artifacts(source="auto", mirror=upstream.base).run()
    assert kubernetes
    asked = len(upstream.asked)
    for mirror in (upstream.base, NOWHERE, ""):
        run = artifacts(source="auto", mirror=mirror)
        assert run.run() == first
        assert run.made == []
    assert len(upstream.asked) == asked


@pytest.mark.parametrize("source", ["release", "mirror"])
def test_one_source_alone_that_is_unreachable(
    artifacts: Make, source: str, monkeypatch: pytest.MonkeyPatch, toy: Any
) -> None:
    """An error that says where, and which others there are."""
    monkeypatch.setattr(Release, "_url", lambda *_: f"{NOWHERE}/kubelet")
    with pytest.raises(
        ArtifactError, match=r"is to be had from no source: http://127.0.0.1:9/kubelet cannot be .*\. artifacts_source"
    ):
        artifacts(source=source, mirror=NOWHERE).run()
    assert toy.builds == []


@pytest.mark.parametrize("source", ["source", "auto"])
def test_no_source_at_all_says_why(
    artifacts: Make, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing reachable, and no compiler."""
    monkeypatch.setattr(engine, "Source", Source)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "files" / "go" / "toy").mkdir(parents=True)
    with pytest.raises(ArtifactError, match=r"from no source: .*building from source needs Go on the control node"):
        artifacts(source=source, mirror=NOWHERE).run()


def test_a_mirror_that_nobody_named(artifacts: Make) -> None:
    """Asked for, but empty."""
    with pytest.raises(ArtifactError, match="artifacts_source is `mirror`, but artifacts_mirror is empty"):
        artifacts(source="mirror").run()


def test_the_order_of_sources(artifacts: Make, toy: Any) -> None:
    """As the variable says."""
    kinds = {
        choice: [type(source) for source in artifacts(source=choice, mirror=mirror).sources()]
        for choice, mirror in (("source", NOWHERE), ("release", NOWHERE), ("mirror", NOWHERE), ("auto", ""))
    }
    assert kinds == {"source": [toy], "release": [Release], "mirror": [Release], "auto": [Release, toy]}


# ---- bundles
@pytest.fixture
def bundle(artifacts: Make, tmp_path: Path) -> Path:
    """Made on a machine that has everything."""
    run = artifacts(cache_dir=str(tmp_path / "elsewhere"))
    run.run()
    path = tmp_path / "usb" / "bundle.tar"
    path.parent.mkdir()
    assert run.bundle(path) == path.stat().st_size
    return path


@pytest.fixture
def offline(toy: Any, bundle: Path) -> None:
    """Nothing can be built here any more."""
    assert bundle.is_file()
    toy.builds.clear()
    toy.broken = UnreachableError("no network, no compiler")


@pytest.mark.usefixtures("offline")
def test_a_bundle_gives_what_went_into_it(artifacts: Make, bundle: Path, tmp_path: Path) -> None:
    """The same digests, without any other source; packed or unpacked."""
    expected = artifacts(cache_dir=str(tmp_path / "elsewhere")).run()
    folder = tmp_path / "unpacked"
    shutil.unpack_archive(bundle, folder)
    for number, mirror in enumerate((bundle, folder)):
        run = artifacts(source="mirror", mirror=str(mirror), cache_dir=str(tmp_path / f"cache{number}"))
        result = run.run()
        assert {name: result[name] for name in ("files", "digests")} == {
            name: expected[name] for name in ("files", "digests")
        }
        assert result["images"]["pause"]["digest"] == expected["images"]["pause"]["digest"]
        assert sources_of(run) == dict.fromkeys(ALL, "bundle")
        again = artifacts(source="mirror", mirror=str(mirror), cache_dir=str(tmp_path / f"cache{number}"))
        assert again.run() == result
        assert again.made == []


def test_a_bundle_of_a_bundle(artifacts: Make, bundle: Path, tmp_path: Path) -> None:
    """Nothing is lost on the way."""
    run = artifacts(source="mirror", mirror=str(bundle))
    run.run()
    run.bundle(tmp_path / "copy.tar")
    with tarfile.open(bundle) as first, tarfile.open(tmp_path / "copy.tar") as second:
        assert first.getnames() == second.getnames()


@pytest.mark.usefixtures("offline")
def test_a_bundle_writes_nowhere_else(artifacts: Make, bundle: Path, tmp_path: Path) -> None:
    """Whatever names somebody put into it."""
    with tarfile.open(bundle, "a") as archive:
        for name in ("../evil", str(tmp_path / "evil"), "sha256/../../evil", "sha256/" + "0" * 64 + "/evil"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("sha256/" + "1" * 64)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    run = artifacts(source="mirror", mirror=str(bundle))
    run.run()
    assert list(tmp_path.rglob("evil")) == []
    assert [path for path in run.cache.folder.rglob("1" * 64) if path.is_symlink()] == []


@pytest.mark.usefixtures("offline")
def test_a_damaged_file_of_a_bundle(artifacts: Make, bundle: Path, tmp_path: Path, sha256: Digest) -> None:
    """One bit is enough."""
    folder = tmp_path / "unpacked"
    shutil.unpack_archive(bundle, folder)
    digest = sha256(b"kubectl for amd64 from source\n")
    path = folder / "sha256" / digest
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(ArtifactError, match=rf"is damaged: sha256/{digest} \(kubectl\) has digest .*; copy it again"):
        artifacts(source="mirror", mirror=str(folder)).run()
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"lacks sha256/{digest} \(kubectl\); copy it again"):
        artifacts(source="mirror", mirror=str(folder)).run()


@pytest.mark.usefixtures("offline")
def test_a_bundle_that_was_not_copied_to_its_end(artifacts: Make, bundle: Path) -> None:
    """Wherever it was cut, nothing is installed, nothing is left, and the whole one works afterwards."""
    whole = bundle.read_bytes()
    for length in range(0, len(whole) - 10240, 512):
        for cut in (length, length + 100):
            bundle.write_bytes(whole[:cut])
            os.utime(bundle, (cut, cut))
            with pytest.raises(ArtifactError, match=r"copy it again|is no bundle"):
                artifacts(source="mirror", mirror=str(bundle)).run()
            assert not artifacts().cache.work.exists()
    bundle.write_bytes(whole)
    artifacts(source="mirror", mirror=str(bundle)).run()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda _: None, "artifacts_mirror: there is no "),
        (lambda path: path.mkdir(), "is no bundle made by playbooks/bundle.yml: manifest.json: .*No such file"),
        (lambda path: path.write_bytes(b"hello"), "cannot be read to its end"),
        (
            lambda path: [path.mkdir(), (path / "manifest.json").write_text("{")],
            "is no bundle made by playbooks/bundle.yml: manifest.json: Expecting",
        ),
    ],
    ids=["absent", "an empty folder", "a text", "half a manifest"],
)
def test_what_is_no_bundle(artifacts: Make, tmp_path: Path, make: Callable[[Path], object], error: str) -> None:
    """Each with its reason."""
    make(tmp_path / "mirror")
    with pytest.raises(ArtifactError, match=error):
        artifacts(source="mirror", mirror=str(tmp_path / "mirror")).run()


@pytest.mark.usefixtures("offline")
def test_a_bundle_of_another_version(artifacts: Make, bundle: Path) -> None:
    """Says what it has."""
    run = artifacts(source="mirror", mirror=str(bundle), kubernetes_version="1.38.0")
    run.lock["components"]["kubernetes"]["versions"]["1.38.0"] = {"programs": {"kubelet": {}}}
    with pytest.raises(ArtifactError, match=r"has no kubernetes 1\.38\.0 \(amd64\); it has crane-0\.22\.1-amd64, "):
        run.run()


def test_a_bundle_that_could_not_be_written(artifacts: Make, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one stays, and no half of a new one takes the room that was missing."""
    before = bundle.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    run = artifacts()
    run.run()
    monkeypatch.setattr(tarfile.TarFile, "add", full)
    with pytest.raises(OSError, match="No space left"):
        run.bundle(bundle)
    assert bundle.read_bytes() == before
    assert [path.name for path in bundle.parent.iterdir()] == [bundle.name]
