# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a node, as its kubelet and the node controller say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from .model import NEVER, Cause, Document, Facts, Rule, apply, condition, name, ref, span, time

KUBELET = "on {node}: systemctl status kubelet containerd; journalctl -u kubelet -n 50"
CHECK = "ansible-playbook … selfhosted.kubernetes.check says what"

# Of the condition Ready (pkg/kubelet/nodestatus/setters.go, pkg/controller/nodelifecycle).
RULES = [
    Rule(
        "NodeSilent",
        "Kubelet stopped posting node status|Kubelet never posted node status",
        "node/{node}",
        "node {node} is down or cut off: its kubelet has said nothing for {since}",
        "ssh {node}; if it answers, "
        + KUBELET
        + f" (a certificate that has ended is named there); {CHECK} of it is down",
    ),
    # Before the network, of which nobody knows while it is down.
    Rule(
        "ContainerRuntimeDown",
        "container runtime is down|container runtime not ready|PLEG is not healthy|runtime status check may not have",
        "node/{node}",
        "node {node} starts no containers: its container runtime does not answer its kubelet",
        "on {node}: systemctl status containerd; journalctl -u containerd -n 50",
    ),
    Rule(
        "NodeNetworkNotReady",
        "NetworkPluginNotReady|NetworkReady=false|cni plugin not initialized",
        "node/{node}",
        "node {node} starts no pods: its pod network (CNI) is not set up",
        "on {node}: ls /etc/cni/net.d; systemctl status flanneld; journalctl -u containerd -n 50",
    ),
    Rule(
        "NodeShutdown",
        "node is shutting down",
        "node/{node}",
        "node {node} is shutting down",
        "wait until it is back, or see who stopped it: on {node}: journalctl -b -1 -e",
    ),
    Rule("NodeNotReady", "", "node/{node}", "node {node} is not ready: {text}", KUBELET),
]

# Of conditions that are True when something is wrong.
PRESSURE = {
    "DiskPressure": Rule(
        "DiskPressure",
        "",
        "node/{node}",
        "node {node} has too little disk left: it starts no new pods and evicts some",
        "on {node}: df -h /var/lib/containerd /var/lib/kubelet /var/log; remove what is large, or add disk",
    ),
    "MemoryPressure": Rule(
        "MemoryPressure",
        "",
        "node/{node}",
        "node {node} has too little memory left: it evicts pods that use more than they asked for",
        "kubectl top pod -A --sort-by=memory; give pods requests and limits that fit what they use",
    ),
    "PIDPressure": Rule(
        "PIDPressure",
        "",
        "node/{node}",
        "node {node} has too many processes: it evicts pods",
        "on {node}: ps -eLf | wc -l; find the pod that starts so many, and set podPidsLimit of the kubelet",
    ),
    "NetworkUnavailable": Rule(
        "NodeNetworkUnavailable",
        "",
        "node/{node}",
        "node {node} is not on the pod network: {text}",
        "on {node}: systemctl status flanneld; journalctl -u flanneld -n 50",
    ),
}
CORDONED = Rule(
    "NodeCordoned",
    "",
    "node/{node}",
    "node {node} is cordoned: it gets no new pods, those on it go on",
    "kubectl uncordon {node}, when its maintenance is over",
)
CLOCK = Rule(
    "NodeClock",
    "",
    "node/{node}",
    "the clock of node {node} is {text} the API server's: certificates and tokens count as not valid yet or as ended",
    "on {node}: timedatectl; systemctl status chrony systemd-timesyncd; then " + CHECK + " clock is off",
)
# Of check.yml, too (plugin_utils/_health/hosts.py).
CLOCK_SKEW = timedelta(seconds=10)
# A lease is renewed every ten seconds; the controller calls a node silent after fifty (or less, as it is set).
LATE = timedelta(seconds=25)


def judge(facts: Facts, node: Document, cordoned: bool = False) -> Iterator[Cause]:
    """Worst first. Whether it is cordoned matters only to who asks about the node itself."""
    node_name, ready = name(node), condition(node, "Ready")
    if not ready:
        verdict = f"node {node_name} has never reported: its kubelet does not run, or may not talk to the API"
        yield Cause("NodeSilent", ref(node), verdict, KUBELET.format(node=node_name))
        return
    if ready.get("status") != "True":
        since = span(facts.age(ready.get("lastHeartbeatTime") or ready.get("lastTransitionTime")))
        line = f"condition Ready is {ready.get('status')} ({ready.get('reason')}): {ready.get('message')}"
        found = apply(RULES, str(ready.get("message") or ready.get("reason")), node=node_name, since=since)
        if found:
            yield found.seen(line)
        return
    yield from _lease(facts, node)
    for kind, rule in PRESSURE.items():
        said = condition(node, kind)
        if said.get("status") == "True":
            found = apply([rule], str(said.get("message")), node=node_name)
            if found:
                yield found.seen(f"condition {kind}: {said.get('message')}")
    if cordoned and node["spec"].get("unschedulable"):
        found = apply([CORDONED], "", node=node_name)
        if found:
            yield found


def _lease(facts: Facts, node: Document) -> Iterator[Cause]:
    """A kubelet that has just stopped, which nobody has noticed yet, or whose clock is off."""
    lease = facts.get("Lease", "kube-node-lease", name(node)) or {}
    renewed = lease.get("spec", {}).get("renewTime")
    # By the node's clock; when the API server took it, by its own.
    taken = max((time(it.get("time")) for it in lease.get("metadata", {}).get("managedFields") or []), default=NEVER)
    ahead = time(renewed) - taken
    if renewed and taken > NEVER and abs(ahead) > CLOCK_SKEW:
        text = f"{span(abs(ahead))} {'ahead of' if ahead > timedelta() else 'behind'}"
        stamp = f"{taken:%Y-%m-%dT%H:%M:%SZ}"
        found = apply([CLOCK], text, node=name(node))
        if found:
            yield found.seen(f"its lease says {renewed}, and the API server took that at {stamp}")
        renewed = stamp
    if renewed and facts.now - time(renewed) > LATE:
        found = apply(
            [RULES[0]], "Kubelet stopped posting node status", node=name(node), since=span(facts.age(renewed))
        )
        if found:
            yield found.seen(f"its lease was renewed last {span(facts.age(renewed))} ago, which happens every 10 s")


def of_pod(facts: Facts, pod: Document) -> Iterator[Cause]:
    """Why a pod's node keeps it from being well; pressure and cordons keep only others away."""
    node_name = pod["spec"].get("nodeName")
    if not node_name:
        return
    node = facts.get("Node", "", node_name)
    if node is None:
        if facts.lacks("Node", "", node_name):
            verdict = f"{ref(pod)} is assigned to node {node_name}, which does not exist"
            todo = "delete the pod (its owner makes a new one); do not set nodeName yourself"
            yield Cause("NodeGone", f"node/{node_name}", verdict, todo)
        return
    yield from (it for it in judge(facts, node) if it.code.startswith("Node") or it.code == "ContainerRuntimeDown")
