# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a Service does not answer: whom it selects, on which port, whether they are ready, whether its name resolves."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from . import pods, workload
from .model import Cause, Document, Facts, full, name, names, namespace, ref

DNS = ("kube-system", "coredns")


def judge(facts: Facts, service: Document) -> list[Cause]:
    """The root first. What is asked of DNS is the cluster's own, not of each service."""
    return list(_itself(facts, service)) or list(_dns(facts))


def _itself(facts: Facts, service: Document) -> Iterator[Cause]:
    spec, space, who = service["spec"], namespace(service), ref(service)
    if spec.get("type") == "ExternalName":
        return
    selector = spec.get("selector")
    if not selector:
        if not _endpoints(facts, service):
            verdict = f"{who} has no selector, and nobody gave it endpoints: it leads nowhere"
            yield Cause("NoSelector", full(service), verdict, "add a selector with the labels of its pods")
        return
    own = [
        it
        for it in workload.selected(facts, space, selector)
        if it.get("status", {}).get("phase") not in ("Succeeded", "Failed")
    ]
    if not own:
        yield _selects_nothing(facts, service, selector)
        return
    if _no_pod_ready(facts, own) and not spec.get("publishNotReadyAddresses"):
        yield from _not_ready(facts, service, own)
    yield from _ports(facts, service, own)
    if spec.get("type") == "LoadBalancer" and not service.get("status", {}).get("loadBalancer", {}).get("ingress"):
        verdict = f"{who} has no address from outside: nothing in this cluster makes load balancers"
        yield Cause(
            "NoLoadBalancer", full(service), verdict, "use type: NodePort, or install a controller that does (MetalLB)"
        )


def _endpoints(facts: Facts, service: Document) -> list[Document]:
    return [
        endpoint
        for it in facts.all("EndpointSlice", namespace(service))
        if (it["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name(service)
        for endpoint in it.get("endpoints") or []
    ]


def _selects_nothing(facts: Facts, service: Document, selector: dict[str, str]) -> Cause:
    who, asked = ref(service), ",".join(f"{key}={value}" for key, value in selector.items())
    near = _nearest(facts, service, selector)
    hint = f"; nearest is {near}" if near else ""
    verdict = f"{who} selects no pod: none in namespace {namespace(service)} has the labels {asked}{hint}"
    empty = [it for it in _templates(facts, service, selector) if it["spec"].get("replicas") == 0]
    if empty:
        verdict = f"{who} selects no pod: {ref(empty[0])} is scaled to 0"
        todo = f"kubectl scale {ref(empty[0])} -n {namespace(service)} --replicas=1"
        return Cause("ScaledToZero", full(empty[0]), verdict, todo)
    for owner in _templates(facts, service, selector):
        causes = workload.judge(facts, owner)
        if causes:
            return causes[0]
    todo = (
        f"kubectl get pods -n {namespace(service)} --show-labels; correct the selector, or the labels in the "
        "pod template"
    )
    return Cause("SelectorMatchesNothing", full(service), verdict, todo)


def _templates(facts: Facts, service: Document, selector: dict[str, str]) -> list[Document]:
    """What would make pods that it selects."""
    return [
        it
        for kind in ("Deployment", "StatefulSet", "DaemonSet")
        for it in facts.all(kind, namespace(service))
        if selector.items() <= ((it["spec"]["template"].get("metadata") or {}).get("labels") or {}).items()
    ]


def _nearest(facts: Facts, service: Document, selector: dict[str, str]) -> str:
    asked = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    shown = {}
    for pod in facts.all("Pod", namespace(service)):
        labels = {
            key: value for key, value in (pod["metadata"].get("labels") or {}).items() if key != "pod-template-hash"
        }
        shown[",".join(f"{key}={value}" for key, value in sorted(labels.items()))] = name(pod)
    found = difflib.get_close_matches(asked, shown, 1, 0.5)
    return f"{found[0]} (pod {shown[found[0]]})" if found else ""


def _no_pod_ready(facts: Facts, own: list[Document]) -> bool:
    return not any(pods.state(facts, it) == "ready" for it in own)


def _not_ready(facts: Facts, service: Document, own: list[Document]) -> Iterator[Cause]:
    found = [cause for it in workload.worst(facts, own) for cause in pods.judge(facts, it)]
    line = f"{ref(service)} has no ready endpoint: {names(f'pod/{name(it)}' for it in own)} not ready"
    if found:
        yield found[0].seen(line)


def _ports(facts: Facts, service: Document, own: list[Document]) -> Iterator[Cause]:
    """A name has to be a port's of the pods. A number need not be declared: whether it is served only a try can say."""
    ready = [it for it in own if pods.state(facts, it) == "ready"]
    declared = {port.get("name"): port["containerPort"] for it in own for port in _declared(it)}
    # Who asks a headless service gets the pods' addresses, and connects to what port it likes.
    ports = [] if service["spec"].get("clusterIP") == "None" else service["spec"].get("ports") or []
    for port in ports:
        target = port.get("targetPort", port["port"])
        if isinstance(target, str) and not target.isdigit():
            if target not in declared:
                ports = names(f"{key} ({value})" for key, value in declared.items() if key)
                verdict = (
                    f"{ref(service)} sends port {port['port']} to a port called {target}, which its pods do not have"
                )
                todo = f"correct targetPort; the pods call theirs: {ports or 'nothing'}"
                yield Cause("PortNameUnknown", full(service), verdict, todo)
        elif refused(facts, service, ready, int(target)):
            listed = names(str(it) for it in sorted(set(declared.values())))
            verdict = f"{ref(service)} sends port {port['port']} to port {target} of its pods, where nothing listens"
            todo = (
                f"correct targetPort; the pods declare {listed}"
                if listed
                else "correct targetPort, or start the program there"
            )
            yield Cause(
                "PortRefused", full(service), verdict, todo, (f"a connection to {name(ready[0])}:{target} was refused",)
            )


def undeclared(service: Document, pod: Document) -> list[int]:
    """Ports that it sends to and the pod declares none of: worth a try."""
    known = {it["containerPort"] for it in _declared(pod)}
    targets = [
        it.get("targetPort", it["port"])
        for it in service["spec"].get("ports") or []
        if it.get("protocol", "TCP") == "TCP"
    ]
    return [int(it) for it in targets if str(it).isdigit() and int(it) not in known]


def refused(facts: Facts, service: Document, ready: list[Document], port: int) -> bool:
    """Whether a try said so."""
    return any(("Refused", namespace(service), f"{name(it)}:{port}") in facts.objects for it in ready)


def _declared(pod: Document) -> list[Document]:
    return [port for it in pod["spec"]["containers"] for port in it.get("ports") or []]


def _dns(facts: Facts) -> Iterator[Cause]:
    """Without DNS no service has a name; its deployment is known only where it was asked for."""
    server = facts.get("Deployment", *DNS)
    if server is not None and not server.get("status", {}).get("availableReplicas"):
        found = workload.judge(facts, server)
        verdict = "no name in the cluster resolves: the DNS server (deployment/coredns in kube-system) has no pod ready"
        if found:
            verdict += f", since {found[0].verdict}"
        yield Cause(
            "DnsDown", "deployment/kube-system/coredns", verdict, "kubectl why -n kube-system deployment/coredns"
        )
