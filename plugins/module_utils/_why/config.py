# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a container cannot be made from its image and its configuration: what it names is missing or not allowed.

Texts: pkg/kubelet/kubelet_pods.go and pkg/kubelet/kuberuntime in Kubernetes' source.
"""

from __future__ import annotations

from collections.abc import Iterator

from .model import Cause, Document, Rule, apply, full, namespace, ref

REASONS = ("CreateContainerConfigError", "CreateContainerError", "PreCreateHookError")
RULES = [
    Rule(
        "KeyMissing",
        r"couldn't find key (?P<key>\S+) in (?P<kind>ConfigMap|Secret) (?P<space>[^/\s]+)/(?P<name>\S+)",
        "{kind}/{space}/{name}",
        "container {container} needs the key {key} of {kind} {name}, which has no such key",
        "kubectl describe {kind} {name} -n {space} shows its keys; add it, correct the name, or set optional: true",
    ),
    Rule(
        "ConfigMapMissing",
        r"configmap \"(?P<name>[^\"]+)\" not found",
        "configmap/{namespace}/{name}",
        "container {container} needs the config map {name}, which does not exist in namespace {namespace}",
        "kubectl create configmap {name} -n {namespace} …, correct the name, or set optional: true",
    ),
    Rule(
        "SecretMissing",
        r"secret \"(?P<name>[^\"]+)\" not found",
        "secret/{namespace}/{name}",
        "container {container} needs the secret {name}, which does not exist in namespace {namespace}",
        "kubectl create secret generic {name} -n {namespace} …, correct the name, or set optional: true",
    ),
    Rule(
        "MustNotRunAsRoot",
        r"runAsNonRoot and image (will run as root|has non-numeric user)|breaks non-root policy",
        "{pod}",
        "container {container} may not run as root (runAsNonRoot), and its image does not say another user by number",
        "set securityContext.runAsUser to a number other than 0, or USER with a number in the image",
    ),
    Rule(
        "NoCommand",
        r"no command specified",
        "image/{image}",
        "image {image} has no program to start, and container {container} names none",
        "set command, or ENTRYPOINT in the image",
    ),
    Rule(
        "SubPathFailed",
        r"subPath",
        "{pod}",
        "a subPath that container {container} mounts cannot be made",
        "correct subPath: it names a file or folder in the volume",
    ),
    Rule(
        "ContainerNameTaken",
        r"failed to reserve container name",
        "{pod}",
        "the runtime is still busy with the last try to make container {container}: its node is slow",
        "wait a minute; if it stays: journalctl -u containerd -n 50 on its node",
    ),
    Rule(
        "ContainerNotMade",
        "",
        "{pod}",
        "container {container} cannot be made: {text}",
        "correct what the text names",
    ),
]


def judge(pod: Document, container: Document, status: Document) -> Iterator[Cause]:
    """For a container that waits because it could not be made."""
    waiting = status["state"]["waiting"]
    known = {"pod": full(pod), "who": ref(pod), "namespace": namespace(pod), "image": container["image"]}
    text = str(waiting.get("message") or waiting["reason"])
    found = apply(RULES, text, **known, container=container["name"])
    if found:
        kind, slash, rest = found.object.partition("/")
        line = f"container {container['name']}: {waiting['reason']}: {text}"
        yield Cause(
            found.code, kind.lower() + slash + rest, found.verdict, found.todo, (line,), container=container["name"]
        )
