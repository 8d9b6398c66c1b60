# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why objects are not even created: quota, limits, admission, pod security, a missing service account, webhooks.

The texts are the API server's; controllers repeat them in events (FailedCreate) and conditions (ReplicaFailure).
"""

from __future__ import annotations

from .model import Cause, Document, Rule, apply, full, namespace, ref

RULES = [
    Rule(
        "WebhookUnreachable",
        r"failed calling webhook \"(?P<webhook>[^\"]+)\": .*?(?P<why>no endpoints available for service \"[^\"]+\"|"
        r"service \"[^\"]+\" not found|"
        r"context deadline exceeded|connection refused|no such host|x509: [^\n]+|i/o timeout|no route to host|"
        r"EOF|[^:]+$)",
        "webhook/{webhook}",
        "the admission webhook {webhook}, which has to agree to new pods of {who}, does not answer: {why}",
        "start the webhook's own pods; where it is not needed any more, delete its configuration: "
        "kubectl get validatingwebhookconfiguration,mutatingwebhookconfiguration",
    ),
    Rule(
        "WebhookDenied",
        r"admission webhook \"(?P<webhook>[^\"]+)\" denied the request(?: without explanation|: (?P<why>.*))",
        "webhook/{webhook}",
        "the admission webhook {webhook} refuses the pods of {who}: {why}",
        "change the pod as it asks, or talk to who runs the webhook",
    ),
    Rule(
        "PolicyDenied",
        r"ValidatingAdmissionPolicy '(?P<policy>[^']+)'.* denied request: (?P<why>.*)",
        "validatingadmissionpolicy/{policy}",
        "the policy {policy} refuses the pods of {who}: {why}",
        "change the pod as it asks: kubectl get validatingadmissionpolicy {policy} -o yaml shows its conditions",
    ),
    Rule(
        "QuotaExceeded",
        r"exceeded quota: (?P<quota>[^,]+), requested: (?P<asked>.+?), used: (?P<used>.+?), limited: (?P<limit>.+)",
        "resourcequota/{namespace}/{quota}",
        "the quota {quota} of namespace {namespace} has no room for the pods of {who}: asked {asked}, used {used}, "
        "limit {limit}",
        "remove other pods of the namespace, lower requests or replicas, or have the quota raised",
    ),
    Rule(
        "QuotaNeedsRequests",
        r"failed quota: (?P<quota>[^:]+): must specify (?P<what>[^;]+)",
        "resourcequota/{namespace}/{quota}",
        "the quota {quota} of namespace {namespace} counts {what}, so every container has to set it",
        "set resources.requests and limits in the pod, or give the namespace a LimitRange with defaults",
    ),
    Rule(
        "LimitRange",
        r"(?P<why>(?:minimum|maximum) (?P<what>\S+) usage per (?:Container|Pod) is [^,\]]+[^\]]*|max limit to "
        r"request ratio[^\]]*)",
        "limitrange/{namespace}",
        "a LimitRange of namespace {namespace} does not allow the pods of {who}: {why}",
        "kubectl get limitrange -n {namespace} -o yaml; change requests or limits",
    ),
    Rule(
        "PodSecurity",
        r"violates PodSecurity \"(?P<level>[^\"]+)\": (?P<why>.*)",
        "namespace/{namespace}",
        "namespace {namespace} allows pods of the level {level} alone, which the pods of {who} do not meet: {why}",
        "set the securityContext as it asks, or change the label pod-security.kubernetes.io/enforce of the namespace",
    ),
    Rule(
        "ServiceAccountMissing",
        r"serviceaccount \"(?P<account>[^\"]+)\" not found",
        "serviceaccount/{namespace}/{account}",
        "the service account {account} of {who} does not exist in namespace {namespace}",
        "kubectl create serviceaccount {account} -n {namespace}, or correct serviceAccountName",
    ),
    Rule(
        "PriorityClassMissing",
        r"no PriorityClass with name (?P<name>\S+) was found",
        "priorityclass/{name}",
        "the priority class {name} of {who} does not exist",
        "kubectl get priorityclass shows those that there are; correct priorityClassName",
    ),
    Rule(
        "RuntimeClassMissing",
        r"RuntimeClass(?:\.node\.k8s\.io)? \"(?P<name>[^\"]+)\" not found",
        "runtimeclass/{name}",
        "the runtime class {name} of {who} does not exist",
        "kubectl get runtimeclass shows those that there are; correct runtimeClassName",
    ),
    Rule(
        "NamespaceTerminating",
        r"because it is being terminated",
        "namespace/{namespace}",
        "namespace {namespace} is being deleted: nothing new is made in it",
        "wait until it is gone and make it anew, or use another",
    ),
    Rule(
        "NotAllowed",
        r"forbidden: User \"(?P<user>[^\"]+)\" cannot (?P<verb>\w+) resource \"(?P<resource>[^\"]+)\"",
        "user/{user}",
        "{user}, which makes the pods of {who}, may not {verb} {resource}",
        "give it the right by a Role and RoleBinding",
    ),
    Rule(
        "PodInvalid",
        r"is invalid: (?P<why>.*)",
        "{key}",
        "the pod template of {who} is invalid: {why}",
        "correct it in the template of {who}",
    ),
    Rule("NotCreated", r"", "{key}", "the pods of {who} are not created: {text}", "the text is the API server's own"),
]


def judge(owner: Document, message: str, *evidence: str) -> Cause | None:
    """For the API server's answer to who tried to make pods for an owner."""
    found = apply(RULES, message, who=ref(owner), key=full(owner), namespace=namespace(owner))
    return found.seen(*evidence) if found else None
