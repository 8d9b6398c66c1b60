# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the API server, as small as the judgement lets them be, for unit tests that need no cluster."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.client import Client, WhyError

FOLDER = Path(__file__).resolve().parents[1] / "unit/plugins/module_utils/_why/recorded"
WRITE = os.environ.get("SELFHOSTED_RECORD") == "write"
# Nothing reads these.
DROPPED = {
    *("resourceVersion", "selfLink", "generateName", "annotations", "imageID", "qosClass", "tolerations"),
    *("daemonEndpoints", "volumeMounts", "terminationMessagePath", "terminationMessagePolicy", "dnsPolicy", "capacity"),
    *("securityContext", "firstTimestamp", "source", "reportingComponent", "reportingInstance"),
    *("podIPs", "hostIPs", "imagePullPolicy", "serviceAccount", "preemptionPolicy", "enableServiceLinks", "nodeInfo"),
    *(
        "strategy",
        "revisionHistoryLimit",
        "clusterIPs",
        "ipFamilies",
        "ipFamilyPolicy",
        "sessionAffinity",
        "apiVersion",
    ),
    *("blockOwnerDeletion", "fieldsV1", "fieldsType", "podManagementPolicy", "persistentVolumeClaimRetentionPolicy"),
}


class Recorder(Client):
    """A client that remembers what it was told."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.answers: dict[str, Any] = {}

    def get(self, path: str, accept: str = "application/json") -> Any:
        """As the client does; errors are answers, too."""
        try:
            self.answers[path] = super().get(path, accept)
        except WhyError as error:
            self.answers[path] = {"error": type(error).__name__, "text": str(error)}
            raise
        return self.answers[path]


def keep(name: str, asked: Recorder) -> None:
    """One file for a case, a line for each answer."""
    if not WRITE:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    lines = [f"{json.dumps(path)}: {json.dumps(slim(path, said))}" for path, said in sorted(asked.answers.items())]
    text = f'{{"now": "{now}", "answers": {{\n' + ",\n".join(lines) + "\n}}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def slim(path: str, said: Any) -> Any:
    """Pods of all namespaces are there for what they ask for alone."""
    if path.startswith("/api/v1/pods?") and isinstance(said, dict) and "items" in said:
        return {"items": [_requests(it) for it in said["items"] if _requests(it)]}
    return _without(said)


def _requests(pod: dict[str, Any]) -> dict[str, Any]:
    containers = [
        {"resources": it["resources"]} for it in pod["spec"]["containers"] if it.get("resources", {}).get("requests")
    ]
    if not containers:
        return {}
    meta = {key: pod["metadata"][key] for key in ("name", "namespace")}
    return {"metadata": meta, "spec": {"nodeName": pod["spec"].get("nodeName"), "containers": containers}, "status": {}}


def _without(said: Any) -> Any:
    if isinstance(said, list):
        return [_without(it) for it in said]
    if not isinstance(said, dict):
        return said
    kept = {key: value for key, value in said.items() if key not in DROPPED}
    if "involvedObject" in kept:
        kept["metadata"] = {"creationTimestamp": kept["metadata"]["creationTimestamp"]}
    if "managedFields" in kept:
        # Who changed it; controllers change everything.
        edits = [
            it for it in kept["managedFields"] if not it["manager"].startswith("kube-") and "subresource" not in it
        ]
        kept["managedFields"] = [{key: it[key] for key in ("manager", "time")} for it in edits]
    return {key: _without(value) for key, value in kept.items()}
