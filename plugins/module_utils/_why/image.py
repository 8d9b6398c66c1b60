# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an image cannot be had. Texts: pkg/kubelet/images in Kubernetes' source, core/remotes/docker in containerd's."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .model import Cause, Document, Facts, Rule, apply, full, namespace, ref, told

REASONS = (
    *("ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"),
    *("RegistryUnavailable", "SignatureValidationFailed"),
)
# Of Go's http client: whom it has asked.
ASKED = re.compile(r"(?:Head|Get) \\?\"https?://([^/\"\\]+)")
# From the most special to the most general: a platform that is missing is also "not found".
RULES = [
    Rule(
        "ImageNameInvalid",
        "InvalidImageName|couldn't parse image|invalid reference format",
        "image/{image}",
        "{image} is no valid name for an image",
        "write it as REGISTRY/NAME:TAG, in lower case, without https://",
    ),
    Rule(
        "ImageNeverPull",
        "ErrImageNeverPull|not present with pull policy of Never",
        "image/{image}",
        "image {image} is not on node {node}, and imagePullPolicy: Never forbids to fetch it",
        "remove imagePullPolicy, or put the image on the node",
    ),
    Rule(
        "ImageWrongPlatform",
        r"no match for platform|no matching manifest for",
        "image/{image}",
        "image {image} was not made for the processor of node {node}",
        "build it for that platform too (docker buildx build --platform), or choose nodes with nodeSelector "
        "kubernetes.io/arch",
    ),
    Rule(
        "ImagePullUnauthorized",
        r"authorization failed|pull access denied|unauthorized|401 Unauthorized|403 Forbidden|no basic auth "
        r"credentials|denied:",
        "image/{image}",
        "registry {registry} does not give {image} to this pod: {secrets}",
        "kubectl create secret docker-registry NAME -n {namespace} --docker-server={registry} …, and name it in "
        "imagePullSecrets "
        "(a registry also answers so for a name that it does not have)",
    ),
    Rule(
        "RegistryCertificate",
        r"x509:|certificate signed by unknown authority|server gave HTTP response to HTTPS client|tls: ",
        "registry/{asked}",
        "node {node} does not trust the certificate of registry {asked}{instead}, or it speaks no TLS",
        "on {node}: /etc/containerd/certs.d/{registry}/hosts.toml says its CA, or that it speaks plain http; "
        "or name the registry by a name in its certificate",
    ),
    Rule(
        "RegistryNameUnknown",
        r"no such host|server misbehaving|Temporary failure in name resolution",
        "registry/{asked}",
        "node {node} finds no address for registry {asked}{instead}: its name is wrong, or the node's DNS does not "
        "answer",
        "on {node}: getent hosts {asked_host}",
    ),
    Rule(
        "RegistryUnreachable",
        r"connection refused|i/o timeout|no route to host|network is unreachable|connection reset|context "
        r"deadline exceeded|"
        r"EOF|RegistryUnavailable|registry is unavailable|unexpected status.*: 5\d\d|50[0234] ",
        "registry/{asked}",
        "registry {asked}{instead} cannot be reached from node {node}",
        "on {node}: curl -v https://{asked}/v2/",
    ),
    Rule(
        "RegistryTooManyRequests",
        r"429 Too Many Requests|toomanyrequests",
        "registry/{asked}",
        "registry {asked}{instead} refuses more pulls for now",
        "wait, log in with imagePullSecrets, or use a mirror of your own",
    ),
    Rule(
        "NodeDiskFull",
        "no space left on device",
        "node/{node}",
        "node {node} has no disk space left for image {image}",
        "on {node}: df -h /var/lib/containerd; remove what is large, or add disk",
    ),
    Rule(
        "ImageSignature",
        "SignatureValidationFailed|signature validation failed",
        "image/{image}",
        "the signature of image {image} is missing or wrong",
        "sign it, or see the policy of the node that asks for it",
    ),
    Rule(
        "ImageDigestUnknown",
        r"sha256:[0-9a-f]{64}\S*: not found|unexpected commit digest|failed size validation",
        "image/{image}",
        "registry {registry} has no image {image}: nothing has this digest",
        "look the digest up again (crane digest NAME:TAG), or name the tag",
    ),
    Rule(
        "ImageNotFound",
        r"not found|manifest unknown|name unknown|NAME_UNKNOWN|404",
        "image/{image}",
        "registry {registry} has no image {image}: its name or tag is wrong, or it was never pushed",
        "crane ls {repository} lists its tags; correct the image, or push it",
    ),
    Rule(
        "ImagePullFailed",
        "",
        "image/{image}",
        "image {image} cannot be fetched: {text}",
        "the text says where it failed",
    ),
]


def judge(facts: Facts, pod: Document, container: Document, status: Document) -> Iterator[Cause]:
    """For a container that waits for its image."""
    waiting = status["state"]["waiting"]
    image = container["image"]
    failed = [
        it
        for it in facts.about(pod, "Failed", "InspectFailed", "ErrImageNeverPull")
        if f'"{image}"' in str(it.get("message"))
    ]
    # While it backs off, only the event says what went wrong (older kubelets) or both do.
    text = " ".join(
        [waiting["reason"], str(waiting.get("message", "")), *(str(it.get("message")) for it in failed[:1])]
    )
    found = apply(RULES, text, **_known(pod, container, text))
    if not found:
        return
    lines = [told(facts, it) for it in failed[:1]]
    lines += [told(facts, it) for it in facts.about(pod, "FailedToRetrieveImagePullSecret")[:1]]
    secret = _missing_secret(facts, pod)
    if found.code == "ImagePullUnauthorized" and secret:
        verdict = (
            f"the secret {secret}, with which {ref(pod)} should pull {image}, does not exist in namespace "
            f"{namespace(pod)}"
        )
        todo = (
            f"kubectl create secret docker-registry {secret} -n {namespace(pod)} …, or name another in imagePullSecrets"
        )
        found = Cause(
            "PullSecretMissing", f"secret/{namespace(pod)}/{secret}", verdict, todo, container=container["name"]
        )
    yield found.seen(*lines, f"container {container['name']}: {waiting['reason']}: {waiting.get('message', '')}")


def _missing_secret(facts: Facts, pod: Document) -> str:
    wanted = [it.get("name", "") for it in pod["spec"].get("imagePullSecrets") or []]
    gone = next((it for it in wanted if facts.lacks("Secret", namespace(pod), it)), "")
    said = " ".join(str(it.get("message")) for it in facts.about(pod, "FailedToRetrieveImagePullSecret")[:1])
    return gone or next((it for it in wanted if it and it in said), "")


def _known(pod: Document, container: Document, text: str) -> dict[str, str]:
    image = container["image"]
    repository = image.partition("@")[0]
    head, _, last = repository.rpartition("/")
    repository = f"{head}/{last.partition(':')[0]}".strip("/")
    first = image.partition("/")[0] if "/" in image else ""
    registry = first if "." in first or ":" in first or first == "localhost" else "docker.io"
    # A node may be told to ask another registry than the one in the image's name.
    url = ASKED.search(text)
    asked = url[1] if url and not url[1].endswith(f".{registry}") else registry
    secrets = [it.get("name", "") for it in pod["spec"].get("imagePullSecrets") or []]
    named = f"what it shows it with ({', '.join(secrets)}) is not accepted" if secrets else "it has no imagePullSecrets"
    return {
        "image": image,
        "repository": repository,
        "registry": registry,
        "asked": asked,
        "asked_host": asked.partition(":")[0],
        "instead": "" if asked == registry else f", which has the images of {registry} here,",
        "namespace": namespace(pod),
        "node": str(pod["spec"].get("nodeName", "")),
        "container": container["name"],
        "secrets": named,
        "pod": full(pod),
    }
