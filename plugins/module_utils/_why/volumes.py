# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: why a claim gets none, and why a node cannot mount one. Also config maps and secrets that are mounted."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .model import Cause, Document, Facts, Rule, apply, full, name, names, namespace, ref, told

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"

# Of the kubelet's FailedMount and FailedAttachVolume.
RULES = [
    Rule(
        "ObjectMissing",
        r"(?P<kind>configmap|secret) \"(?P<name>[^\"]+)\" not found",
        "{kind}/{namespace}/{name}",
        "the {kind} {name}, which {who} mounts, does not exist in namespace {namespace}",
        "create it in namespace {namespace}, correct the name, or set optional: true",
    ),
    Rule(
        "KeyMissing",
        r"references non-existent (?P<kind>config|secret) key: (?P<key>\S+)",
        "{pod}",
        "a {kind} volume of {who} names the key {key}, which the object does not have",
        "kubectl describe configmap,secret -n {namespace} shows their keys; correct items[].key",
    ),
    Rule(
        "NotYetKnown",
        r"object \"(?P<space>[^\"/]+)\"/\"(?P<name>[^\"]+)\" not registered",
        "{pod}",
        "the kubelet of {node} has not yet got {name}, which {who} mounts",
        "wait a minute; if it stays: on {node}: journalctl -u kubelet -n 50",
    ),
    Rule(
        "HostPathWrong",
        r"hostPath type check failed[:,] (?P<path>\S+) is not (?P<wanted>[^,]+)",
        "node/{node}",
        "{who} mounts {path} of node {node}, which is not {wanted}",
        "create it on {node}, correct the path, or use type: DirectoryOrCreate",
    ),
    Rule(
        "VolumeInUse",
        r"Multi-Attach error for volume \"(?P<volume>[^\"]+)\"",
        "volume/{volume}",
        "volume {volume} is still attached to another node, and only one may have it",
        "wait until the pod there has ended; a node that is gone for good: kubectl delete node NODE",
    ),
    Rule(
        "CsiDriverMissing",
        r"driver name (?P<driver>\S+) not found in the list of registered CSI drivers",
        "node/{node}",
        "node {node} has no storage driver {driver} running",
        "kubectl get pods -A -o wide --field-selector spec.nodeName={node}: does the driver's pod run there?",
    ),
    Rule(
        "VolumeFilesystem",
        r"(?P<what>wrong fs type|mount failed|MountVolume\.\w+ failed)",
        "{pod}",
        "node {node} cannot mount a volume of {who}",
        "the event's text is mount's own; on {node}: journalctl -u kubelet -n 50",
    ),
    Rule(
        "VolumeNotReady",
        r"timed out waiting for|Unable to attach or mount volumes|context deadline exceeded",
        "{pod}",
        "volumes of {who} are not there in time on node {node}",
        "kubectl get pvc,volumeattachment -A; on {node}: journalctl -u kubelet -n 50",
    ),
]


def mounting(facts: Facts, pod: Document, failed: list[Document]) -> Iterator[Cause]:
    """For a pod whose node could not mount all volumes; a time-out says less than what made it."""
    general = {"VolumeNotReady", "VolumeFilesystem"}
    known = {"pod": full(pod), "who": ref(pod), "namespace": namespace(pod), "node": str(pod["spec"].get("nodeName"))}
    found = []
    for event in failed:
        cause = apply(RULES, str(event.get("message")), **known)
        if cause:
            kind = cause.object.partition("/")[0]
            code = {"configmap": "ConfigMapMissing", "secret": "SecretMissing"}.get(kind, cause.code)
            found.append(Cause(code, cause.object, cause.verdict, cause.todo, (told(facts, event),)))
    yield from sorted(found, key=lambda it: it.code in general)[:1]


def of_pod(facts: Facts, pod: Document, message: str) -> Iterator[Cause]:
    """Why a pod is not scheduled, where its claims are the reason."""
    if not re.search(r"persistentvolumeclaim|PersistentVolumeClaim|persistent volumes? to bind|claim", message):
        return
    for named in claims(pod):
        claim = facts.get("PersistentVolumeClaim", namespace(pod), named)
        if claim is not None:
            yield from judge(facts, claim, used=True)
        elif facts.lacks("PersistentVolumeClaim", namespace(pod), named) or f'"{named}" not found' in message:
            verdict = f"{ref(pod)} mounts the volume claim {named}, which does not exist in namespace {namespace(pod)}"
            todo = f"create the PersistentVolumeClaim {named}, or correct claimName"
            yield Cause("ClaimMissing", f"persistentvolumeclaim/{namespace(pod)}/{named}", verdict, todo)


def claims(pod: Document) -> list[str]:
    """Names of the pod's claims."""
    found = []
    for volume in pod["spec"].get("volumes") or []:
        if volume.get("persistentVolumeClaim"):
            found.append(str(volume["persistentVolumeClaim"]["claimName"]))
        elif volume.get("ephemeral"):
            found.append(f"{name(pod)}-{volume['name']}")
    return found


def judge(facts: Facts, claim: Document, used: bool = False) -> Iterator[Cause]:
    """Why a claim has no volume. `used`: a pod waits for it."""
    phase = claim.get("status", {}).get("phase")
    who, key = ref(claim), full(claim)
    if claim["metadata"].get("deletionTimestamp"):
        pods = [name(it) for it in facts.all("Pod", namespace(claim)) if name(claim) in claims(it)]
        verdict = f"{who} is being deleted, and stays until no pod uses it" + (f": {names(pods)}" if pods else "")
        yield Cause("ClaimTerminating", key, verdict, "delete the pods that use it, or wait until they have ended")
    elif phase == "Lost":
        verdict = f"{who} has lost its volume {claim['spec'].get('volumeName')}: that PersistentVolume is gone"
        yield Cause("ClaimLost", key, verdict, "restore the data into a new claim; this one gets no other volume")
    elif phase != "Bound":
        yield from _pending(facts, claim, used)


def _pending(facts: Facts, claim: Document, used: bool) -> Iterator[Cause]:
    who, key, wanted = ref(claim), full(claim), claim["spec"].get("storageClassName")
    failed = facts.about(claim, "ProvisioningFailed", "FailedBinding", "VolumeMismatch")
    lines = tuple(told(facts, it) for it in failed[:1])
    size = claim["spec"].get("resources", {}).get("requests", {}).get("storage", "")
    classes = facts.all("StorageClass")
    if wanted and facts.lacks("StorageClass", "", wanted):
        verdict = f"{who} asks for the storage class {wanted}, which does not exist"
        todo = (
            f"there are: {names(sorted(map(name, classes))) or 'none'}; a claim's class cannot be changed, make it anew"
        )
        yield Cause("StorageClassMissing", f"storageclass/{wanted}", verdict, todo, lines)
        return
    storage = facts.get("StorageClass", "", wanted or "")
    if not wanted or (storage and storage.get("provisioner") == NO_PROVISIONER):
        if _waits_for_pod(claim, storage) and not used:
            return
        default = any((it["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true" for it in classes)
        if wanted is None and not default and ("StorageClass", "") in facts.complete:
            verdict = f"{who} names no storage class, and the cluster has no default one: nobody makes its volume"
            todo = (
                f"set storageClassName ({names(sorted(map(name, classes))) or 'there is none yet'}), or make a default"
            )
            yield Cause("NoDefaultStorageClass", key, verdict, todo, lines)
        else:
            modes = ",".join(claim["spec"].get("accessModes") or [])
            verdict = f"no free PersistentVolume fits {who}: {size}, {modes}, class {wanted or 'none'}"
            yield Cause(
                "NoVolumeFits", key, verdict, "kubectl get pv shows them; add one that fits, or ask for less", lines
            )
        return
    if _waits_for_pod(claim, storage) and not failed:
        return
    provisioner = (storage or {}).get("provisioner", "its provisioner")
    if failed and failed[0].get("reason") == "ProvisioningFailed":
        verdict = f"{provisioner} could not make the volume of {who}"
        yield Cause("ProvisioningFailed", key, verdict, "the event's text is the driver's own; see its log", lines)
        return
    waiting = facts.about(claim, "ExternalProvisioning", "Provisioning", "WaitForPodScheduled")
    verdict = f"{who} waits for {provisioner} to make its volume: that driver does not answer"
    todo = "does the driver run? kubectl get pods -A; then read its log"
    yield Cause(
        "ProvisionerSilent", f"provisioner/{provisioner}", verdict, todo, tuple(told(facts, it) for it in waiting[:1])
    )


def _waits_for_pod(claim: Document, storage: Document | None) -> bool:
    """Volumes of such a class are made when a pod has a node; until then a claim without one is well."""
    if not storage or storage.get("volumeBindingMode") != "WaitForFirstConsumer":
        return False
    chosen = (claim["metadata"].get("annotations") or {}).get("volume.kubernetes.io/selected-node")
    return not chosen
