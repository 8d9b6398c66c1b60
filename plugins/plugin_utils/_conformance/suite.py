# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test programs of a Kubernetes version, in the cache of artifacts."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.engine import (
    NATIVE,
    AnySource,
    Artifacts,
)
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.sources import Progress, Source, Wanted

from . import images

FILES = Path(__file__).resolve().parents[3] / "roles/conformance/files"
BUILT = "registry.k8s.io/conformance"


class Suite(Artifacts):
    """As artifacts, of a lock of its own; for the control node's architecture, where the programs run."""

    def __init__(self, options: dict[str, Any], progress: Progress) -> None:
        super().__init__({"architectures": [NATIVE], "mirror": "", **options}, progress)
        self.lock = yaml.safe_load((FILES / "lock.yml").read_text(encoding="utf-8"))

    def wanted(self) -> list[Wanted]:
        """One family."""
        versions, version = self.lock["components"]["conformance"]["versions"], self.options["version"]
        if version not in versions:
            raise ArtifactError(
                f"cluster_kubernetes_version: there is no test suite of {version}, only of {', '.join(versions)}"
            )
        return [Wanted("conformance", version, NATIVE, versions[version], versions[version]["programs"])]

    def sources(self) -> list[AnySource]:
        """The same, with our Go modules."""
        return [Source(FILES / "go") if isinstance(source, Source) else source for source in super().sources()]

    def have(self) -> dict[str, Any]:
        """Paths of the programs, images as OCI layouts, and the registries that the suite has to be told."""
        files = self.run()["files"][NATIVE]
        result: dict[str, Any] = {
            "programs": {name: str(self.cache.content / file["sha256"]) for name, file in files.items()},
            "images": [],
            "registries": {},
        }
        if self.options["images"] == "built":
            result["images"] = self._images()
            result["registries"] = {"promoterE2eRegistry": BUILT}
        return result

    def _images(self) -> list[dict[str, str]]:
        recipe = f"{images.recipe()} {self.options['agnhost']} {self.wanted()[0].lock['images']}"
        folder = self.cache.folder / "images" / f"conformance-{hashlib.sha256(recipe.encode()).hexdigest()[:24]}"
        with self.cache.locked(self.progress):
            if not folder.exists():
                self.progress("conformance: making the specs' images (a minute or two)")
                work = self.cache.work / "images"
                images.write(work, self.wanted()[0].lock["images"], Path(self.options["agnhost"]))
                folder.parent.mkdir(exist_ok=True)
                work.replace(folder)
                self.made.append({"name": "images of conformance", "source": "source", "seconds": 0})
        return [
            {"ref": f"{BUILT}/{name}:{tag}", **images.found(folder, name, tag)}
            for name, tags in self.wanted()[0].lock["images"].items()
            for tag in tags
        ]
