# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have every artifact of the lock in the cache, from the first source that has it."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import tarfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from .cache import ArtifactError, Cache
from .image import write_layout
from .sources import Bundle, Progress, Release, Source, UnreachableError, Wanted

FILES = Path(__file__).resolve().parents[3] / "roles/artifacts/files"
NATIVE = {"aarch64": "arm64"}.get(platform.machine(), "amd64")
# What a bundle is made of.
BUNDLED = re.compile(r"manifest\.json|sha256/[0-9a-f]{64}")
AnySource = Release | Bundle | Source
Files = dict[str, dict[str, Any]]


class Artifacts:
    """One run: `files` by architecture and name, `images` by name."""

    def __init__(self, options: dict[str, Any], progress: Progress) -> None:
        self.options = options
        self.progress = progress
        self.cache = Cache(options["cache_dir"])
        self.lock = yaml.safe_load((FILES / "lock.yml").read_text(encoding="utf-8"))
        self.pins = Path(options["pins"])
        self.made: list[dict[str, Any]] = []
        self.missing: list[str] = []
        self.unreachable: set[str] = set()
        self.started = time.monotonic()

    # ---- what is wanted
    def wanted(self) -> list[Wanted]:
        """Components and image programs for every architecture; crane runs on the control node."""
        result = []
        paired = {"kubernetes": self.options["kubernetes_version"], **self._paired()}
        for arch in self.options["architectures"]:
            for name, component in self.lock["components"].items():
                version = paired.get(name) or next(iter(component["versions"]))
                lock = component["versions"][version]
                if (name != "crane" or arch == NATIVE) and self._used(component):
                    result.append(Wanted(name, version, arch, lock, lock["programs"]))
            for name, image in self._used_images().items():
                version, programs = image["ref"].rsplit(":", 1)[1], {name: {"package": image["package"]}}
                result.append(Wanted(f"image-{name}", version, arch, image, programs))
        if NATIVE not in self.options["architectures"]:
            version, lock = next(iter(self.lock["components"]["crane"]["versions"].items()))
            result.append(Wanted("crane", version, NATIVE, lock, lock["programs"]))
        return result

    def _paired(self) -> dict[str, Any]:
        """What the wanted version of Kubernetes goes with, where that is not the newest."""
        version, known = self.options["kubernetes_version"], self.lock["components"]["kubernetes"]["versions"]
        if version not in known:
            there = ", ".join(known)
            raise ArtifactError(f"cluster_kubernetes_version: {version} is not in the lock; there are {there}")
        return dict(known[version].get("with", {}))

    def _used(self, entry: dict[str, Any]) -> bool:
        """Without its service nobody runs it."""
        return entry.get("service", "") in ("", *self.options["services"])

    def _used_images(self) -> dict[str, dict[str, Any]]:
        images = {name: {**image, **self._paired().get(name, {})} for name, image in self.lock["images"].items()}
        return {name: image for name, image in images.items() if self._used(image)}

    def sources(self) -> list[AnySource]:
        """In the order in which they are tried."""
        choice, mirror = self.options["source"], self.options["mirror"]
        source = Source(FILES / "go")
        if choice == "source":
            return [source]
        if choice == "mirror" or (choice == "auto" and mirror):
            if not mirror:
                raise ArtifactError(
                    "artifacts_source is `mirror`, but artifacts_mirror is empty: "
                    "set it to a base URL or to a bundle made by playbooks/bundle.yml"
                )
            first: AnySource = (
                Release(self.pins, mirror) if "://" in mirror else Bundle(self._unpacked(Path(mirror).expanduser()))
            )
        else:
            first = Release(self.pins)
        return [first, source] if choice == "auto" else [first]

    def sources_of(self, wanted: Wanted) -> list[AnySource]:
        """What upstream never releases is compiled, whatever was chosen; only a bundle has it."""
        sources = self.sources()
        if wanted.lock.get("ours"):
            return [*(it for it in sources if isinstance(it, Bundle)), Source(FILES / "go")]
        compiled = not wanted.lock.keys() & {"release", "ref"} and all(isinstance(it, Release) for it in sources)
        return [*sources, Source(FILES / "go")] if compiled else sources

    def _unpacked(self, bundle: Path) -> Path:
        if bundle.is_dir():
            return bundle
        try:
            folder = self.cache.folder / f"bundle-{int(bundle.stat().st_mtime)}-{bundle.stat().st_size}"
        except FileNotFoundError as error:
            raise ArtifactError(f"artifacts_mirror: there is no {bundle}") from error
        if not folder.exists():
            for other in self.cache.folder.glob("bundle-*"):
                shutil.rmtree(other)
            temporary = self.cache.work / "bundle"
            try:
                _unpack(bundle, temporary)
            except (tarfile.TarError, EOFError) as error:
                raise ArtifactError(
                    f"artifacts_mirror: {bundle} cannot be read to its end ({error}); copy it again"
                ) from error
            temporary.replace(folder)
        return folder

    # ---- having it
    def run(self) -> dict[str, Any]:
        """The facts that roles use."""
        with self.cache.locked(self.progress):
            wanted = self.wanted()
            found = {(item.name, item.arch): self._find(item, self.sources_of(item)) for item in wanted}
            todo = [item for item in wanted if found[item.name, item.arch] is None]
            if self.options["check"]:
                self.missing += [item.title for item in todo]
            else:
                for position, item in enumerate(todo, 1):
                    found[item.name, item.arch] = self._make(item, self.sources_of(item), f"{position} of {len(todo)}")
            got = {key: made or {} for key, made in found.items()}
            files: dict[str, dict[str, Any]] = {arch: {} for arch in {item.arch for item in wanted}}
            for item in wanted:
                if not item.name.startswith("image-"):
                    for name, file in got[item.name, item.arch].items():
                        files[item.arch][name] = {
                            "sha256": file["sha256"],
                            "size": file["size"],
                            "version": item.version,
                        }
            images = (
                {}
                if self.missing
                else {name: self._image(name, image, got) for name, image in self._used_images().items()}
            )
        digests = sorted({file["sha256"] for programs in files.values() for file in programs.values()})
        return {"cache_dir": str(self.cache.folder), "files": files, "digests": digests, "images": images}

    def _find(self, wanted: Wanted, sources: list[AnySource]) -> Files | None:
        for source in sources:
            # What keeps a source from being used is said when it is needed.
            with suppress(UnreachableError):
                found = self.cache.get(_entry(wanted, source), source.recipe(wanted))
                if found is not None:
                    return found
        return None

    def _make(self, wanted: Wanted, sources: list[AnySource], position: str) -> Files:
        failures: list[str] = []
        for source in sources:
            if source.name in self.unreachable and len(sources) > 1:
                continue
            began = time.monotonic()
            work = self.cache.work / f"{wanted.name}-{wanted.arch}-{source.name}"
            work.mkdir()
            try:
                recipe = source.recipe(wanted)
                self._say(position, wanted, f"from {source.name}")
                made = source.get(wanted, work, lambda text: self._say(position, wanted, text))
            except UnreachableError as error:
                self._skip(source, error)
                failures.append(str(error))
                continue
            files = self.cache.put(_entry(wanted, source), recipe, made)
            shutil.rmtree(work)
            self.made.append(
                {"name": wanted.title, "source": source.name, "seconds": round(time.monotonic() - began, 1)}
            )
            return files
        raise ArtifactError(
            f"{wanted.title} is to be had from no source: {'; '.join(failures)}. "
            "artifacts_source chooses among release, mirror, source and auto"
        )

    def _skip(self, source: AnySource, error: UnreachableError) -> None:
        if source.name not in self.unreachable and "has no release" not in str(error):
            self.unreachable.add(source.name)
            self.progress(f"artifacts: {error}; going on with the next source")

    def _say(self, position: str, wanted: Wanted, text: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        self.progress(
            f"artifacts: {position}: {wanted.title}: {', '.join(wanted.programs)}: {text} "
            f"[{minutes}:{seconds:02d} elapsed]"
        )

    def _image(self, name: str, image: dict[str, Any], got: dict[tuple[str, str], Files]) -> dict[str, Any]:
        parts = {
            arch: {part: file["sha256"] for part, file in got[f"image-{name}", arch].items()}
            for arch in self.options["architectures"]
        }
        recipe = json.dumps([image["path"], image["user"], parts], sort_keys=True)
        folder = self.cache.folder / "images" / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:24]}"
        marker = folder / "digest"
        if not marker.exists():
            temporary = self.cache.work / f"layout-{name}"
            found = {
                arch: {part: self.cache.content / sha256 for part, sha256 in of_arch.items()}
                for arch, of_arch in parts.items()
            }
            built = {arch: files[name] for arch, files in found.items() if name in files}
            copied = {arch: files for arch, files in found.items() if name not in files}
            digest = write_layout(temporary, image, built, copied)
            (temporary / "digest").write_text(digest, encoding="utf-8")
            folder.parent.mkdir(exist_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(temporary, folder)
        digest = marker.read_text(encoding="utf-8")
        return {"ref": image["ref"], "pinned": f"{image['ref']}@{digest}", "layout": str(folder), "digest": digest}

    # ---- giving it away
    def bundle(self, target: Path) -> int:
        """Write everything into one tar that `artifacts_mirror` takes; returns its size in bytes."""
        manifest: dict[str, Any] = {"files": {}}
        content = set()
        with self.cache.locked(self.progress):
            for item in self.wanted():
                for source in self.sources_of(item):
                    files = self.cache.get(_entry(item, source), source.recipe(item))
                    if files is not None:
                        manifest["files"][f"{item.name}-{item.version}-{item.arch}"] = {
                            name: file["sha256"] for name, file in files.items()
                        }
                        content |= {file["sha256"] for file in files.values()}
                        break
            (self.cache.work / "manifest.json").write_text(
                json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8"
            )
            temporary = target.with_name(target.name + ".new")
            try:
                with tarfile.open(temporary, "w") as archive:
                    archive.add(self.cache.work / "manifest.json", "manifest.json")
                    archive.add(FILES / "lock.yml", "lock.yml")
                    for sha256 in sorted(content):
                        archive.add(self.cache.content / sha256, f"sha256/{sha256}")
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        return target.stat().st_size


def _entry(wanted: Wanted, source: AnySource) -> str:
    """Its name in the cache."""
    return f"{wanted.name}-{wanted.version}-{wanted.arch}-{source.name}"


def _unpack(bundle: Path, folder: Path) -> None:
    """What a bundle has, and nothing else (`extractall` is safe only from Python 3.11.4 on; Debian 12 has 3.11.2)."""
    (folder / "sha256").mkdir(parents=True)
    with tarfile.open(bundle) as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.isreg() and BUNDLED.fullmatch(member.name) else None
            if stream is not None:
                with stream, open(folder / member.name, "wb") as target:
                    shutil.copyfileobj(stream, target, 1 << 20)
