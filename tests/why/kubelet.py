# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kubelet would say of pods: statuses and events with the texts of pkg/kubelet 1.37, containerd 2.4 and runc.

A fault is a function of a pod and a container that gives the container's status and events.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

Document = dict[str, Any]
RPC = "rpc error: code = Unknown desc = "
PULL = 'failed to pull and unpack image "{image}": failed to resolve image: '
RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: error during container init: "
)


def stamp(seconds_ago: float = 0) -> str:
    """A time as Kubernetes writes it."""
    return f"{datetime.now(UTC) - timedelta(seconds=seconds_ago):%Y-%m-%dT%H:%M:%SZ}"


class Said:
    """Of one container: its status, and events as reason, message and type."""

    def __init__(self, state: Document, last: Document | None = None, restarts: int = 0, **more: Any) -> None:
        self.state, self.last, self.restarts = state, last or {}, restarts
        self.more = {"ready": False, "started": False, **more}
        self.events: list[tuple[str, str, str]] = []
        self.pod: Document = {}

    def event(self, reason: str, message: str, kind: str = "Warning") -> Said:
        """One more, the newest."""
        self.events.append((reason, message, kind))
        return self

    def on_pod(self, **status: Any) -> Said:
        """Something in the pod's status itself."""
        self.pod.update(status)
        return self


NOTHING = Said({})
Fault = Callable[[Document, Document], Said]


def waiting(reason: str, message: str = "", restarts: int = 0, last: Document | None = None) -> Said:
    """It waits."""
    return Said({"waiting": {"reason": reason, **({"message": message} if message else {})}}, last, restarts)


def running(ready: bool = True, restarts: int = 0, last: Document | None = None, started: bool = True) -> Said:
    """It runs."""
    return Said({"running": {"startedAt": stamp(90)}}, last, restarts, ready=ready, started=started)


def ended(code: int, reason: str = "Error", message: str = "", seconds_ago: float = 5) -> Document:
    """A terminated state."""
    times = {"startedAt": stamp(seconds_ago + 2), "finishedAt": stamp(seconds_ago)}
    ident = {"containerID": f"containerd://{uuid.uuid4().hex * 2}"}
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            **({"message": message} if message else {}),
            **times,
            **ident,
        }
    }


def pull(desc: str, reason: str = "ErrImagePull", code: str = "Unknown") -> Fault:
    """It cannot have its image (image_manager.go)."""

    def fault(_pod: Document, container: Document) -> Said:
        image = container["image"]
        text = f"rpc error: code = {code} desc = " + desc.format(image=image)
        back_off = f'Back-off pulling image "{image}": {reason}: {text}'
        said = waiting("ImagePullBackOff", back_off)
        said.event("Pulling", f'Pulling image "{image}"', "Normal")
        said.event("Failed", f'Failed to pull image "{image}": {text}')
        return said.event("Failed", f"Error: {reason}").event("BackOff", back_off, "Normal")

    return fault


def crash(code: int, reason: str = "Error", message: str = "", restarts: int = 3) -> Fault:
    """It ends again and again (kuberuntime_manager.go)."""

    def fault(pod: Document, container: Document) -> Said:
        meta = pod["metadata"]
        who = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        text = f"back-off 40s restarting failed container={container['name']} pod={who}"
        said = waiting("CrashLoopBackOff", text, restarts, ended(code, reason, message))
        return said.event("BackOff", f"Back-off restarting failed container {container['name']} in pod {who}")

    return fault


def start(desc: str) -> Fault:
    """Its program cannot be started: the runtime's text is in the status and in the event."""

    def fault(pod: Document, container: Document) -> Said:
        said = crash(128, "StartError", RUNC + desc + ": unknown")(pod, container)
        return said.event("Failed", f"Error: {RUNC}{desc}: unknown")

    return fault


def config(message: str, reason: str = "CreateContainerConfigError") -> Fault:
    """It cannot be made (kuberuntime_container.go)."""

    def fault(pod: Document, _container: Document) -> Said:
        text = message.format(namespace=pod["metadata"]["namespace"], name=pod["metadata"]["name"])
        return waiting(reason, text).event("Failed", f"Error: {text}")

    return fault


def creating(*events: tuple[str, str]) -> Fault:
    """Not even its sandbox or its volumes are there."""

    def fault(_pod: Document, _container: Document) -> Said:
        said = waiting("ContainerCreating")
        for reason, message in events:
            said.event(reason, message)
        return said

    return fault


def sandbox(desc: str) -> Fault:
    """The runtime cannot make its sandbox."""
    return creating(("FailedCreatePodSandBox", f"Failed to create pod sandbox: {RPC}{desc}"))


def probe(kind: str, answer: str) -> Fault:
    """A probe fails (prober.go); liveness and startup probes have it restarted (kuberuntime_container.go)."""

    def fault(_pod: Document, container: Document) -> Said:
        again = kind != "Readiness"
        last = ended(137) if again else None
        said = running(False, 2 if again else 0, last, started=kind != "Startup")
        said.event("Unhealthy", f"{kind} probe failed: {answer}")
        if again:
            said.event(
                "Killing", f"Container {container['name']} failed {kind.lower()} probe, will be restarted", "Normal"
            )
        return said

    return fault


def evicted(_pod: Document, container: Document) -> Said:
    """The kubelet needed its memory (eviction/helpers.go)."""
    text = (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 40Mi. "
        f"Container {container['name']} was using 300Mi, request is 0, has larger consumption of memory. "
    )
    said = Said(ended(137))
    return said.on_pod(phase="Failed", reason="Evicted", message=text).event("Evicted", text)


def failed(code: int) -> Fault:
    """Its pod is not restarted, and has failed."""
    return lambda _pod, _container: Said(ended(code)).on_pod(phase="Failed")


def done(_pod: Document, _container: Document) -> Said:
    """Its work is done."""
    return Said(ended(0, "Completed")).on_pod(phase="Succeeded")


def well(_pod: Document, _container: Document) -> Said:
    """It runs and is ready."""
    return running()


def once(_pod: Document, _container: Document) -> Said:
    """It runs and is ready, and was restarted a day ago."""
    return running(restarts=3, last=ended(137, "OOMKilled", seconds_ago=86400))


def silent(_pod: Document, _container: Document) -> Said:
    """Nobody says anything."""
    return NOTHING


def status(pod: Document, said: dict[str, Said], host: str) -> Document:
    """The status of a whole pod."""
    parts = {}
    for field, key in (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")):
        parts[key] = [_container(it, said[it["name"]]) for it in pod["spec"].get(field, [])]
    extra = {key: value for it in said.values() for key, value in it.pod.items()}
    main = [said[it["name"]] for it in pod["spec"]["containers"]]
    ready = all(it.more["ready"] for it in main)
    conditions = [
        {"type": kind, "status": "True" if value else "False", "lastTransitionTime": stamp(60 if value else 30)}
        for kind, value in (("Initialized", True), ("ContainersReady", ready), ("Ready", ready), ("PodScheduled", True))
    ]
    phase = "Running" if any("running" in it.state or it.restarts for it in said.values()) else "Pending"
    return {
        "phase": phase,
        "startTime": stamp(95),
        "hostIP": host,
        "podIP": host,
        "podIPs": [{"ip": host}],
        "conditions": conditions,
        **parts,
        **extra,
    }


def _container(container: Document, said: Said) -> Document:
    made = "running" in said.state or "terminated" in said.state or said.restarts
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "restartCount": said.restarts,
        "state": said.state,
        "lastState": said.last,
        **said.more,
        **({"containerID": f"containerd://{uuid.uuid4().hex * 2}"} if made else {}),
    }


def events(pod: Document, said: dict[str, Said], node: str) -> list[Document]:
    """Events of a pod, a second apart."""
    meta = pod["metadata"]
    found = [(container, it) for container, one in said.items() for it in one.events]
    result = []
    for number, (container, (reason, message, kind)) in enumerate(found):
        about = {
            "kind": "Pod",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": "v1",
        }
        if reason not in ("FailedMount", "FailedCreatePodSandBox", "Evicted"):
            about["fieldPath"] = f"spec.containers{{{container}}}"
        when = stamp(len(found) - number)
        result.append(
            {
                "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
                "involvedObject": about,
                "reason": reason,
                "message": message,
                "type": kind,
                "count": 4,
                "firstTimestamp": when,
                "lastTimestamp": when,
                "source": {"component": "kubelet", "host": node},
            }
        )
    return result
