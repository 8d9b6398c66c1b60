# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a pod on its node from getting as far as its containers: network, volumes, a silent kubelet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from . import volumes
from .model import Cause, Document, Facts, Rule, apply, full, ref, span, told, when

# A pod that is younger, or whose last complaint is older, may just be starting.
PATIENCE = timedelta(seconds=45)

RULES = [
    Rule(
        "PodAddressesUsedUp",
        r"no IP addresses available|no available IP|failed to allocate for range",
        "node/{node}",
        "node {node} has no address left for another pod",
        "remove pods there, or what is left of old ones (on {node}: ls /var/lib/cni/networks/*); a smaller "
        "maxPods avoids it",
    ),
    Rule(
        "CniPluginMissing",
        r"failed to find plugin \"(?P<plugin>[^\"]+)\"",
        "node/{node}",
        "node {node} lacks the program {plugin}, which gives pods their network",
        "ansible-playbook … selfhosted.kubernetes.site --limit {node} brings back /opt/cni/bin/{plugin}",
    ),
    Rule(
        "NodeNetworkNotReady",
        r"cni plugin not initialized|NetworkPluginNotReady|network is not ready|no networks found in /etc/cni",
        "node/{node}",
        "node {node} starts no pods: its pod network (CNI) is not set up",
        "on {node}: ls /etc/cni/net.d; systemctl status flanneld; journalctl -u containerd -n 50",
    ),
    Rule(
        "RuntimeHandlerMissing",
        r"no runtime for \"(?P<handler>[^\"]+)\" is configured|RuntimeHandler \"(?P<other>[^\"]+)\" not supported",
        "node/{node}",
        "node {node} has no container runtime {handler}{other}, which the pod's runtimeClassName asks for",
        "choose another runtimeClassName, or a node that has it",
    ),
    Rule(
        "SandboxImageMissing",
        r"failed to get sandbox image|pull sandbox image",
        "node/{node}",
        "node {node} cannot get the pause image, without which no pod starts",
        "on {node}: journalctl -u containerd -n 50; is the registry on the outside host up?",
    ),
    Rule(
        "MemoryLimitTooSmall",
        r"OOM-killed|memory limit too low|memory\.(?:max|limit_in_bytes)",
        "{key}",
        "the memory limit of {who} is too small even to start its sandbox",
        "raise resources.limits.memory; it is in bytes without a unit (64Mi, not 64m)",
    ),
    Rule(
        "CniFailed",
        r"failed to setup network for sandbox|plugin type=\"(?P<plugin>[^\"]+)\" failed",
        "node/{node}",
        "node {node} could not connect the pod to its network",
        "on {node}: systemctl status flanneld containerd; journalctl -u containerd -n 50",
    ),
    Rule(
        "SandboxFailed",
        "",
        "node/{node}",
        "node {node} could not make the pod's sandbox, in which its containers start",
        "on {node}: journalctl -u containerd -u kubelet -n 50",
    ),
]


def judge(facts: Facts, pod: Document) -> Iterator[Cause]:
    """For a pod with a node and without any container yet."""
    node = str(pod["spec"].get("nodeName", ""))
    failed = facts.about(pod, "FailedCreatePodSandBox", "NetworkNotReady", "FailedCreatePodContainer")
    mounts = facts.about(pod, "FailedMount", "FailedAttachVolume", "FailedMapVolume")
    last = max([*failed[:1], *mounts[:1]], key=when, default=None)
    if last in mounts:
        yield from volumes.mounting(facts, pod, mounts)
    elif last:
        found = apply(RULES, str(last.get("message")), node=node, who=ref(pod), key=full(pod))
        if found:
            yield found.seen(told(facts, last))
    elif _silent(facts, pod):
        waited = span(facts.age(_assigned(pod)))
        verdict = f"{ref(pod)} is assigned to node {node}, whose kubelet has done nothing for it for {waited}"
        todo = f"on {node}: systemctl status kubelet; journalctl -u kubelet -n 50"
        yield Cause("KubeletSilent", f"node/{node}", verdict, todo)


def _silent(facts: Facts, pod: Document) -> bool:
    """Events are kept for an hour: an older pod's first words may be forgotten, but not a status that was never set."""
    said = [it for it in facts.about(pod) if it.get("reason") not in ("Scheduled", "FailedScheduling")]
    started = pod.get("status", {}).get("startTime")
    return not said and not started and facts.age(_assigned(pod)) > PATIENCE


def _assigned(pod: Document) -> str:
    found = [it for it in pod.get("status", {}).get("conditions") or [] if it["type"] == "PodScheduled"]
    return str((found[0].get("lastTransitionTime") if found else "") or pod["metadata"].get("creationTimestamp") or "")
