# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What API servers say: who reaches them, nodes, system workloads, and which versions run beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from ipaddress import ip_interface, ip_network
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._cluster_ready import complaints
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.versions import BEHIND, minor

from . import etcd
from .model import NOT_ASKED, SITE_THERE, Area, Seen, names, well

DEPLOYMENTS = ["kube-system/coredns", "kube-system/metrics-server"]
# Conditions of a node that are bad when they are true.
PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")
OF_MASTERS = ("kube-controller-manager", "kube-scheduler")


def servers(seen: Seen) -> Area:
    """Which checks of /readyz fail, components.py has said; here whether objects can be read."""
    area, answers = Area("API servers"), seen.answers("api")
    asked = seen.asked("masters")
    for host, why in seen.errors("api").items():
        if well(seen.hosts[host]["components"]["kube-apiserver"]):
            area.fail(host, f"its API server is ready, but gives no objects: {why}", "on {hosts}: kubectl get nodes")
    for host in [host for host in asked if host in seen.hosts and "api" not in seen.hosts[host]]:
        area.fail(host, "is a master of the inventory, but has no API server", SITE_THERE)
    if not asked:
        return _unknown(area, seen)
    if not answers:
        what = "no API server answers: nodes, workloads and the kubelets' versions are not known"
        led = any(answer["status"].get("leader") for answer in seen.answers("etcd").values())
        look = "on {hosts}: journalctl -u kube-apiserver -n 50"
        area.fail(tuple(asked), what, look if led else f"repair etcd first, then {look}")
    ready = [host for host in answers if well(seen.hosts[host]["components"]["kube-apiserver"])]
    area.summary = f"{len(ready)} of {len(asked)} ready"
    area.figures = {"ready": len(ready), "asked": len(asked)}
    return area


def _unknown(area: Area, seen: Seen) -> Area:
    """What only an API server knows, while none says it."""
    area.summary = "not known: no API server answers" if seen.asked("masters") else NOT_ASKED
    area.known = False
    return area


def load_balancers(seen: Seen) -> Area:
    """Every API server is reached by every load balancer."""
    area, answers = Area("load balancers"), seen.answers("backends")
    for host, why in seen.errors("backends").items():
        area.fail(
            host, f"its load balancer cannot be asked: {why}", "on {hosts}: journalctl -u kube-loadbalancer -n 50"
        )
    bad = {(host, name): state for host, it in answers.items() for name, state in it.items() if state != "UP"}
    for (host, name), state in bad.items():
        what = f"the load balancer has the API server of {name} as {state}"
        report = area.fail if state.startswith("DOWN") else area.warn
        report(host, what, f"on {name}: systemctl status kube-apiserver; is port 6443 reached from {{hosts}}?")
    total = sum(map(len, answers.values()))
    area.summary = f"{total - len(bad)} of {total} backends up, on {len(answers)} hosts"
    area.figures = {"down": len(bad)}
    area.known = bool(answers)
    return area


def nodes(seen: Seen) -> Area:
    """Every node of the inventory is there and Ready, and no other is."""
    area, api = Area("nodes"), seen.api
    if api is None:
        return _unknown(area, seen)
    subnets = seen.answers("pod_network")
    found = {item["metadata"]["name"]: item for item in api["objects"] if item["kind"] == "Node"}
    for name in [name for name in seen.nodes if name not in found]:
        area.fail(name, "is in the inventory, but no node", "on {hosts}: journalctl -u kubelet -n 50")
    for name in [name for name in found if name not in seen.nodes]:
        area.warn(name, "is a node, but not in the inventory", "kubectl delete node {hosts}, or put it back")
    for name, node in found.items():
        conditions = {it["type"]: it for it in node["status"].get("conditions", [])}
        if conditions.get("Ready", {}).get("status") != "True":
            why = conditions.get("Ready", {}).get("message", "its kubelet has not reported yet")
            area.fail(name, f"is not Ready: {why}", "on {hosts}: journalctl -u kubelet -n 50")
        for kind in [kind for kind in PRESSURES if conditions.get(kind, {}).get("status") == "True"]:
            area.fail(name, f"has {kind}: {conditions[kind].get('message', '')}", "kubectl describe node {hosts}")
        own, used = node["spec"].get("podCIDR"), subnets.get(name, {}).get("subnet")
        if own and used and ip_network(own) != ip_interface(used).network:
            # A Node that was deleted and made anew, or that of another cluster.
            what = f"has pods in {ip_interface(used).network}, but the cluster sends them to {own}"
            area.fail(name, what, "drain {hosts}, run reset.yml for it, and site.yml")
        if node["spec"].get("unschedulable"):
            area.warn(name, "is cordoned: it gets no new pods", "kubectl uncordon {hosts}")
    sick = {finding.hosts[0] for finding in area.findings if finding.level == "failure"}
    area.summary = f"{len(found.keys() - sick)} of {len(found.keys() | set(seen.nodes))} Ready"
    area.figures = {"ready": len(found.keys() - sick), "nodes": len(found)}
    return area


def workloads(seen: Seen) -> Area:
    """DNS and metrics have their pods, and aggregated APIs answer."""
    area, api = Area("system pods"), seen.api
    if api is None:
        return _unknown(area, seen)
    objects = api["objects"]
    deployments = {f"kube-system/{it['metadata']['name']}": it for it in objects if it["kind"] == "Deployment"}
    for name in sorted({*DEPLOYMENTS, *deployments}):
        available = deployments.get(name, {}).get("status", {}).get("availableReplicas", 0)
        for line in complaints(objects, [], "", [name], []):
            report = area.warn if available else area.fail
            report(
                "cluster", line, f"kubectl -n kube-system describe pods; kubectl -n kube-system logs deploy/{name[12:]}"
            )
    services = [it["metadata"]["name"] for it in objects if it["kind"] == "APIService"]
    for line in complaints(objects, [], "", [], services):
        area.fail("cluster", line, "kubectl get apiservices; kubectl -n kube-system get pods -o wide")
    area.summary = f"{len(deployments)} deployments, {len(area.findings)} not as they should be"
    return area


def versions(seen: Seen) -> Area:
    """One version of each component, and none newer than the API server it talks to."""
    area = Area("versions")
    running = _running(seen)
    area.known = bool(running["kubelet"] or running["kube-apiserver"])
    for component, hosts in sorted(running.items()):
        by_version: dict[str, list[str]] = defaultdict(list)
        for host, version in hosts.items():
            by_version[version].append(host)
        if len(by_version) > 1:
            listed = "; ".join(f"{version} on {names(on)}" for version, on in sorted(by_version.items()))
            area.warn("cluster", f"{component} is mixed: {listed}", "run upgrade.yml to its end")
    _skew(area, running)
    kubernetes = sorted({version for component in BEHIND for version in running[component].values()})
    area.summary = f"Kubernetes {', '.join(kubernetes)}" if kubernetes else ""
    return area


def _skew(area: Area, running: Mapping[str, dict[str, str]]) -> None:
    """Kubernetes' version skew policy; nodes may talk to any API server, the rest of a master talks to its own."""
    found = running["kube-apiserver"]
    servers = {host: it for host, version in found.items() if (it := minor(version))}
    for component, host, version in ((name, *it) for name in BEHIND for it in running[name].items()):
        partners = {host} & servers.keys() if component in OF_MASTERS else servers.keys()
        own = minor(version)
        if own is None or not partners:
            continue
        oldest, newest = (choose(sorted(partners), key=servers.__getitem__) for choose in (min, max))
        ahead = 1 if component == "kube-apiserver" else 0
        if own > (servers[oldest][0], servers[oldest][1] + ahead):
            what = f"{component} {version} is too new for {oldest}, whose API server is {found[oldest]}"
            area.fail(host, what, "upgrade the masters: upgrade.yml")
        elif (own[0], own[1] + BEHIND[component]) < servers[newest]:
            what = f"{component} {version} is too old for {newest}, whose API server is {found[newest]}"
            area.fail(host, what, "run upgrade.yml to its end")


def _running(seen: Seen) -> dict[str, dict[str, str]]:
    """Versions by component and host: what a process says, else what was installed."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for host, observed in seen.hosts.items():
        for name, it in observed["components"].items():
            if it["version"]:
                found[name][host] = str(it["version"])
    found["etcd"].update(etcd.versions(seen))
    for host, answer in seen.answers("api").items():
        found["kube-apiserver"][host] = _plain(answer["version"])
    for item in (seen.api or {"objects": []})["objects"]:
        if item["kind"] == "Node" and (version := _plain(item["status"]["nodeInfo"]["kubeletVersion"])):
            found["kubelet"][item["metadata"]["name"]] = version
    return found


def _plain(version: Any) -> str:
    return str(version).removeprefix("v")
