# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why no node takes a pod. Texts of the scheduler: pkg/scheduler/framework/plugins in Kubernetes' source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from . import node as nodes_area
from . import volumes
from .model import Cause, Document, Facts, Rule, apply, condition, full, name, names, ref, span, told
from .resources import free, requests, shown

# How long the scheduler may take to say a word about a new pod.
PATIENCE = timedelta(seconds=15)
UNWELL = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

# What is about the pod itself first, taints (every master has one) last.
RULES = [
    Rule(
        "NotEnoughResources",
        r"Insufficient (?P<resource>\S+?)[,.]?(?:\s|$)",
        "{pod}",
        "no node has room for {who}: it asks for {amount} {resource}, {most}",
        "{room}",
    ),
    Rule(
        "TooManyPods",
        "Too many pods",
        "{pod}",
        "no node has room for {who}: they have as many pods as they may",
        "remove pods, add a node, or raise maxPods of the kubelet",
    ),
    Rule(
        "HostPortTaken",
        "didn't have free ports",
        "{pod}",
        "another pod has the hostPort that {who} asks for, on every node that could take it",
        "remove hostPort (a Service does not need it), or the other pod",
    ),
    Rule(
        "AntiAffinity",
        "anti-affinity rules",
        "{pod}",
        "{who} may not run beside pods that every node has: there are fewer nodes than pods that keep away from "
        "each other",
        "add a node, run fewer replicas, or prefer (preferredDuringScheduling…) instead of requiring it",
    ),
    Rule(
        "PodAffinity",
        "didn't match pod affinity rules",
        "{pod}",
        "{who} wants to run beside a pod that is not there",
        "start the other pod first, or correct the labels in podAffinity",
    ),
    Rule(
        "TopologySpread",
        "didn't match pod topology spread constraints",
        "{pod}",
        "no node keeps the pods of {who} spread as topologySpreadConstraints ask",
        "add a node where there are fewer of them, or set whenUnsatisfiable: ScheduleAnyway",
    ),
    Rule(
        "VolumeElsewhere",
        "volume node affinity conflict|didn't match PersistentVolume's node affinity",
        "{pod}",
        "the volume of {who} is on a node that does not take the pod",
        "kubectl get pv -o wide says where the volume is; make room there",
    ),
    Rule(
        "NodeSelectorMatchesNothing",
        "didn't match Pod's node affinity/selector",
        "{pod}",
        "no node has what {who} asks for with {wanted}",
        "correct nodeSelector or affinity, or label a node: kubectl label node NODE KEY=VALUE",
    ),
    Rule(
        "NodesCordoned",
        "were unschedulable",
        "{cordoned}",
        "no node takes {who}: {cordoned_names} is cordoned",
        "kubectl uncordon {first_cordoned}, when its maintenance is over",
    ),
    Rule(
        "Taint",
        r"taint",
        "{pod}",
        "every node that could take {who} has a taint that it does not tolerate: {taints}",
        "add a toleration to the pod, or remove the taint: kubectl taint node NODE KEY-",
    ),
]


def judge(facts: Facts, pod: Document) -> Iterator[Cause]:
    """For a pod that has no node yet."""
    said = condition(pod, "PodScheduled")
    who = ref(pod)
    if said.get("reason") == "SchedulingGated" or pod["spec"].get("schedulingGates"):
        gates = names(it["name"] for it in pod["spec"].get("schedulingGates") or [])
        verdict = f"{who} waits until its scheduling gates are removed: {gates}"
        yield Cause("SchedulingGated", full(pod), verdict, "see what set the gate: it removes it when it is done")
        return
    message = str(said.get("message") or "")
    failed = facts.about(pod, "FailedScheduling")
    if not message and failed:
        message = str(failed[0].get("message", ""))
    if not message:
        yield from _nobody(facts, pod)
        return
    lines = [told(facts, failed[0])] if failed else [f"condition PodScheduled: {message}"]
    found = [*volumes.of_pod(facts, pod, message), *_unwell(facts, pod)]
    # What preemption could not do either says nothing new.
    reasons = message.split(" preemption: ")[0].split(" no new claims to deallocate")[0]
    cause = None if found else apply(_rules(facts, pod), reasons, **_known(facts, pod, reasons))
    if cause:
        found = [cause]
    if not found:
        verdict = f"the scheduler finds no node for {who}: {message}"
        found = [Cause("Unschedulable", full(pod), verdict, "its words say which condition of the pod no node meets")]
    table = _table(facts, pod)
    for it in found:
        yield Cause(it.code, it.object, it.verdict, it.todo, (*lines, *it.evidence), table)


def _nobody(facts: Facts, pod: Document) -> Iterator[Cause]:
    age = facts.age(pod["metadata"].get("creationTimestamp"))
    if age < PATIENCE:
        return
    scheduler = pod["spec"].get("schedulerName") or "default-scheduler"
    if scheduler == "default-scheduler":
        verdict = f"no scheduler has looked at {ref(pod)} for {span(age)}: kube-scheduler is not running"
        todo = "on the masters: systemctl status kube-scheduler; ansible-playbook … selfhosted.kubernetes.check"
        yield Cause("NoScheduler", "component/kube-scheduler", verdict, todo)
    else:
        verdict = f"{ref(pod)} asks for the scheduler {scheduler}, which has not looked at it for {span(age)}"
        todo = "start that scheduler, or remove schedulerName from the pod"
        yield Cause("NoScheduler", f"scheduler/{scheduler}", verdict, todo)


def _unwell(facts: Facts, pod: Document) -> Iterator[Cause]:
    """Nodes that are down, where one of them would be the pod's: then it is their fault and not the pod's."""
    possible = [it for it in facts.all("Node") if _suits(it, pod) and not _foreign_taints(it, pod)]
    down = [it for it in possible if condition(it, "Ready").get("status") != "True"]
    if down and len(down) == len(possible):
        for it in down:
            yield from nodes_area.judge(facts, it)


def _rules(facts: Facts, pod: Document) -> list[Rule]:
    """Those that can be meant: the scheduler names a reason for each node, also for those that are not for the pod."""
    nodes = facts.all("Node")
    if not nodes:
        return RULES
    suited = [it for it in nodes if _suits(it, pod)]
    untainted = [it for it in suited if not _foreign_taints(it, pod)]
    first = ""
    if not suited:
        first = "NodeSelectorMatchesNothing"
    elif not untainted:
        first = "Taint"
    elif all(it["spec"].get("unschedulable") for it in untainted):
        first = "NodesCordoned"
    return sorted(RULES, key=lambda it: it.code != first)


def _known(facts: Facts, pod: Document, reasons: str) -> dict[str, str]:
    """Words for the rules."""
    nodes = facts.all("Node")
    cordoned = [name(it) for it in nodes if it["spec"].get("unschedulable") and _suits(it, pod)]
    taints = dict.fromkeys(_taint(it) for node in nodes if _suits(node, pod) for it in _foreign_taints(node, pod))
    found = apply([RULES[0]], reasons, **dict.fromkeys(("pod", "who", "amount", "most", "room"), ""))
    resource = found.verdict.rpartition(", ")[0].split()[-1] if found else "cpu"
    amount = requests(pod).get(resource, 0.0)
    pods = facts.all("Pod")
    open_nodes = [it for it in nodes if _suits(it, pod) and not _foreign_taints(it, pod)] or nodes
    most = max((free(it, pods).get(resource, 0.0) for it in open_nodes), default=0.0)
    largest = max((free(it, []).get(resource, 0.0) for it in open_nodes), default=0.0)
    room = "lower its requests (kubectl top pod says what pods really use), remove other pods, or add a node"
    if largest < amount:
        room = "no node is that big: lower its requests, or add a larger node"
    return {
        "pod": full(pod),
        "who": ref(pod),
        "wanted": _wanted(pod),
        "amount": shown(resource, amount),
        "most": f"at most {shown(resource, most)} is free on a node that takes it" if nodes else "no node has it free",
        "room": room,
        "cordoned": f"node/{cordoned[0]}" if cordoned else full(pod),
        "cordoned_names": names(cordoned) or "every node that could",
        "first_cordoned": cordoned[0] if cordoned else "NODE",
        "taints": names(taints) or reasons,
    }


def _wanted(pod: Document) -> str:
    spec = pod["spec"]
    parts = [f"{key}={value}" for key, value in (spec.get("nodeSelector") or {}).items()]
    for term in _terms(spec):
        meant = [*(term.get("matchExpressions") or []), *(term.get("matchFields") or [])]
        parts += [f"{it['key']} {it['operator']} {','.join(it.get('values') or [])}".strip() for it in meant]
    return f"nodeSelector or affinity ({', '.join(parts)})" if parts else "nodeSelector or affinity"


def _terms(spec: Document) -> list[dict[str, Any]]:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    wanted = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return list(wanted.get("nodeSelectorTerms") or [])


def _suits(node: Document, pod: Document) -> bool:
    """Whether the pod's nodeSelector and required node affinity take a node."""
    labels = node["metadata"].get("labels") or {}
    selector = pod["spec"].get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    terms = _terms(pod["spec"])
    fields = {"metadata.name": name(node)}
    return not terms or any(
        all(_meets(it, labels) for it in term.get("matchExpressions") or [])
        and all(_meets(it, fields) for it in term.get("matchFields") or [])
        for term in terms
    )


def _meets(wanted: dict[str, Any], labels: dict[str, str]) -> bool:
    value, values = labels.get(wanted["key"]), wanted.get("values") or []
    operator = wanted["operator"]
    if operator in ("Gt", "Lt"):
        if value is None or not value.lstrip("-").isdigit():
            return False
        return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(operator, True)


def _foreign_taints(node: Document, pod: Document) -> list[dict[str, str]]:
    """Taints that keep the pod away for good: what a node has because it is unwell or cordoned is not among them."""
    return [
        it
        for it in node["spec"].get("taints") or []
        if it["effect"] != "PreferNoSchedule"
        and it["key"] not in (*UNWELL, "node.kubernetes.io/unschedulable")
        and not any(_tolerates(own, it) for own in pod["spec"].get("tolerations") or [])
    ]


def _tolerates(toleration: dict[str, Any], taint: dict[str, str]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if not toleration.get("key"):
        return toleration.get("operator") == "Exists"
    if toleration["key"] != taint["key"]:
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _taint(taint: dict[str, str]) -> str:
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint['key']}{value}:{taint['effect']}"


def _table(facts: Facts, pod: Document) -> tuple[tuple[str, ...], ...]:
    """Each node with what is free on it, and why it does not take the pod."""
    wanted, pods = requests(pod), facts.all("Pod")
    resources: list[str] = [key for key in ("cpu", "memory") if key in wanted]
    resources += [key for key in sorted(wanted) if key not in ("cpu", "memory", "pods")]
    rows = []
    for node in sorted(facts.all("Node"), key=name):
        left = free(node, pods)
        lines = [f"taint {_taint(it)}" for it in _foreign_taints(node, pod)]
        lines += ["cordoned"] if node["spec"].get("unschedulable") else []
        lines += [] if condition(node, "Ready").get("status") == "True" else ["not ready"]
        lines += [] if _suits(node, pod) else ["selector or affinity"]
        lines += [f"too little {key}" for key in wanted if wanted[key] > left.get(key, 0.0)]
        rows.append((name(node), *(shown(key, left.get(key, 0.0)) for key in resources), ", ".join(lines) or "-"))
    if not rows:
        return ()
    asked = ("asked for", *(shown(key, wanted[key]) for key in resources), "")
    return (("node", *(f"free {key}" for key in resources), "why not"), *rows[:20], asked)
