# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects in short, for the cases: manifests without a namespace, which each case has of its own."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
IMAGE = "registry.example/shop/web:1.0"


def container(**more: Any) -> Document:
    """A container; `more` is of its own spec."""
    return {"name": "web", "image": IMAGE, **more}


def pod_spec(*containers: Document, **more: Any) -> Document:
    """A pod's spec, for nodes of the pool main."""
    return {
        "nodeSelector": {"pool": "main"},
        "containers": list(containers) or [container()],
        "terminationGracePeriodSeconds": 0,
        **more,
    }


def pod(*containers: Document, name: str = "web", labels: Document | None = None, **more: Any) -> Document:
    """A pod that nobody owns."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {"app": name}},
        "spec": pod_spec(*containers, **more),
    }


def owner(kind: str, *containers: Document, replicas: int = 1, spec: Document | None = None, **more: Any) -> Document:
    """A Deployment, StatefulSet or DaemonSet called web."""
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod_spec(*containers, **more)},
            **({} if kind == "DaemonSet" else {"replicas": replicas}),
            **({"serviceName": "web"} if kind == "StatefulSet" else {}),
            **(spec or {}),
        },
    }


def deployment(*containers: Document, **more: Any) -> Document:
    """One called web, of one pod."""
    return owner("Deployment", *containers, **more)


def job(*containers: Document, name: str = "web", spec: Document | None = None) -> Document:
    """A job whose pod is tried once."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec(*containers, restartPolicy="Never")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template, **(spec or {})},
    }


def cron_job(**spec: Any) -> Document:
    """A cron job that comes up at new year."""
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "web"},
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job()["spec"]}, **spec},
    }


def service(target: Any = 8080, **spec: Any) -> Document:
    """A service for the pods called web."""
    ports = [{"port": 80, "targetPort": target}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


def claim(name: str = "data", storage_class: str | None = None) -> Document:
    """A claim of 1 GiB."""
    own = {} if storage_class is None else {"storageClassName": storage_class}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **own},
    }


def volume(name: str = "data") -> Document:
    """A pod's volume from a claim."""
    return {"name": name, "persistentVolumeClaim": {"claimName": name}}


def quota(**hard: str) -> Document:
    """A quota called small."""
    names = {key.replace("_", "."): value for key, value in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": names}}


def webhook(namespace: str, client: Document) -> Document:
    """A webhook that has to agree to the pods of one namespace."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"{namespace}.why.example"},
        "webhooks": [
            {
                "name": f"{namespace}.why.example",
                "rules": [rule],
                "clientConfig": client,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 2,
                "failurePolicy": "Fail",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            }
        ],
    }


def policy(namespace: str) -> list[Document]:
    """A policy that refuses the pods of one namespace."""
    api = {"apiVersion": "admissionregistration.k8s.io/v1"}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return [
        {
            **api,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": f"{namespace}.why.example"},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [
                    {"expression": "has(object.metadata.labels.team)", "message": "a pod has to say its team"}
                ],
            },
        },
        {
            **api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": f"{namespace}.why.example"},
            "spec": {
                "policyName": f"{namespace}.why.example",
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": selector},
            },
        },
    ]
