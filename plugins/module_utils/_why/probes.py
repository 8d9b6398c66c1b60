# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: what was asked, and what was answered. Texts: pkg/kubelet/prober and pkg/probe in Kubernetes' source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from .model import Cause, Document, Facts, Rule, apply, condition, full, name, namespace, ref, told, when

# A probe's last complaint is a reason only as long as it is repeated: events are sent again at least this often.
FRESH = timedelta(minutes=15)
LOG = "kubectl logs {name} -n {namespace} -c {container}"
RULES = [
    Rule(
        "refused",
        r"connection refused",
        "",
        "nothing listens on {port}",
        "does the program listen on {port}, on 0.0.0.0 and not 127.0.0.1? " + LOG,
    ),
    Rule(
        "status",
        r"statuscode: (?P<status>\d+)",
        "",
        "it answered {status}",
        "correct the path, or see why the program answers so: " + LOG,
    ),
    Rule(
        "late",
        r"Timeout exceeded|i/o timeout|deadline exceeded|timed out",
        "",
        "it did not answer within {seconds} s",
        "raise timeoutSeconds, or see what keeps it busy: " + LOG,
    ),
    Rule(
        "tls",
        r"malformed HTTP response|HTTP request to an HTTPS server|x509|tls:",
        "",
        "it speaks the other of HTTP and HTTPS",
        "correct scheme of the probe",
    ),
    Rule("service", r"unknown service|service unhealthy", "", "its gRPC health service says no", LOG),
    Rule(
        "command",
        r"executable file not found|no such file",
        "",
        "the image lacks the probe's program",
        "correct the probe's command",
    ),
    Rule(
        "other", r"", "", "{answer}", "try it by hand: kubectl exec -n {namespace} {name} -c {container} -- …; " + LOG
    ),
]
CODES = {"Readiness": "ReadinessProbe", "Startup": "StartupProbe", "Liveness": "LivenessProbe"}
FIELDS = {"Readiness": "readinessProbe", "Startup": "startupProbe", "Liveness": "livenessProbe"}


def judge(facts: Facts, pod: Document, container: Document, status: Document) -> Iterator[Cause]:
    """For a container that runs and is not ready."""
    kind = "Startup" if container.get("startupProbe") and not status.get("started") else "Readiness"
    found = failing(facts, pod, container, kind)
    if found:
        yield found


def killing(facts: Facts, pod: Document, container: Document) -> Cause | None:
    """The probe because of which the kubelet restarts a container, None where it is none."""
    killed = [
        it for it in facts.about(pod, "Killing") if f"Container {container['name']} failed" in str(it.get("message"))
    ]
    if not killed:
        return None
    kind = "Startup" if "startup probe" in str(killed[0].get("message")) else "Liveness"
    found = failing(facts, pod, container, kind)
    return found.seen(told(facts, killed[0])) if found else None


def failing(facts: Facts, pod: Document, container: Document, kind: str) -> Cause | None:
    """The cause of a probe's last complaint."""
    who = container["name"]
    path = f"spec.containers{{{who}}}"
    said = [
        it
        for it in facts.about(pod, "Unhealthy")
        if str(it.get("message")).startswith(f"{kind} probe") and it["involvedObject"].get("fieldPath") in (path, None)
    ]
    if not said or facts.now - when(said[0]) > FRESH:
        return None
    probe = container.get(FIELDS[kind]) or {}
    answer = str(said[0]["message"]).partition(": ")[2].strip()
    known = {
        "port": _port(container, probe),
        "seconds": str(probe.get("timeoutSeconds", 1)),
        "answer": f"it said: {answer}" if answer else "it failed without a word",
        "name": name(pod),
        "namespace": namespace(pod),
        "container": who,
    }
    found = apply(RULES, answer, **known)
    if not found:
        return None
    effect = "and so gets no requests" if kind == "Readiness" else "and so is restarted"
    verdict = f"container {who} fails its {kind.lower()} probe ({_shown(container, probe)}), {effect}: {found.verdict}"
    return Cause(CODES[kind], full(pod), verdict, found.todo, (told(facts, said[0]),), container=who)


def gates(pod: Document) -> Iterator[Cause]:
    """Readiness gates: conditions that somebody else has to set."""
    for gate in pod["spec"].get("readinessGates") or []:
        kind = gate["conditionType"]
        if condition(pod, kind).get("status") != "True":
            verdict = f"all containers of {ref(pod)} are ready, but its readiness gate {kind} is not set"
            yield Cause("ReadinessGate", full(pod), verdict, "see the controller that sets this condition")


def _port(container: Document, probe: dict[str, Any]) -> str:
    how: dict[str, Any] = next((probe[it] for it in ("httpGet", "tcpSocket", "grpc") if it in probe), {})
    port = how.get("port", "its port")
    numbers = {it.get("name"): it["containerPort"] for it in container.get("ports") or []}
    return f"port {numbers.get(port, port)}"


def _shown(container: Document, probe: dict[str, Any]) -> str:
    if "httpGet" in probe:
        return f"GET {probe['httpGet'].get('path', '/')} on {_port(container, probe)}"
    if "exec" in probe:
        return "command " + " ".join(probe["exec"].get("command") or [])
    return f"{'gRPC' if 'grpc' in probe else 'a connection'} to {_port(container, probe)}"
