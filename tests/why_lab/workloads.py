# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E501  (a case is a line)
"""Faults that real kubelets suffer, pairs of them, and workloads that are well: what is made, and what the answer is.

The one image has a web server and no shell: programs come from the node, which is mounted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.target import Target, parse
from ansible_collections.selfhosted.kubernetes.tests.lab.support import AGNHOST, MASTERS, WORKERS

Document = dict[str, Any]
# No tag of it is in the registry but the one.
NO_TAG = AGNHOST.replace(":2.66.1", ":0.0")
NO_DIGEST = f"{AGNHOST.partition(':')[0]}@sha256:{'0' * 64}"
HOST = {"usr": "/usr", "lib": "/usr/lib", "lib64": "/usr/lib64"}
GET = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
NOBODY_LISTENS = {"httpGet": {"path": "/healthz", "port": 8081}, "periodSeconds": 1, "failureThreshold": 1}
HTTP = [{"name": "http", "containerPort": 8080}]
WEB = "pod/{ns}/web"


@dataclass(frozen=True)
class Case:
    """`code` is empty where all is well. `{ns}` in `object` is the case's namespace, `{pod}` the pod of its owner."""

    name: str
    objects: list[Document]
    target: str = "deployment/web"
    code: str = ""
    object: str = ""
    # A word that the verdict has to have.
    says: str = ""
    # What else is found.
    also: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def namespace(self) -> str:
        """Its own."""
        return f"why-{self.name}"

    @property
    def wanted(self) -> Target:
        """As a person would ask; what is not the case's own says its namespace."""
        return parse(self.target, self.namespace, given=self.target.count("/") < 2)

    def complaint(self, said: dict[str, Any]) -> str:
        """In which way the answer is not right, empty where it is."""
        cause = said["cause"]
        wanted = self.object.format(ns=self.namespace, pod=said["where"].get("pod", ""))
        also = {it["code"] for it in said["also"]}
        if said["state"] != ("broken" if self.code else "healthy") or cause.get("code", "") != self.code:
            return f"{said['state']}, {cause.get('code')} instead of {self.code}: {said['verdict']}"
        if wanted and cause["object"] != wanted:
            return f"{cause['object']} instead of {wanted}: {said['verdict']}"
        if self.says not in said["verdict"]:
            return f"{self.says!r} is not in: {said['verdict']}"
        return "" if set(self.also) <= also else f"also {also} instead of {self.also}"


def container(name: str = "web", **more: Any) -> Document:
    """A web server."""
    return {"name": name, "image": AGNHOST, "args": ["netexec", "--http-port=8080"], "ports": HTTP, **more}


def shell(script: str, name: str = "web", **more: Any) -> Document:
    """A container that runs a script by the node's own shell; pod_spec mounts what it takes."""
    mounts = [{"name": key, "mountPath": f"/{key}", "readOnly": True} for key in HOST]
    env = [{"name": "PATH", "value": "/usr/bin"}]
    # Kubernetes makes one of two dollars.
    command = ["/usr/bin/bash", "-c", script.replace("$", "$$")]
    mounts += more.pop("volumeMounts", [])
    return {"name": name, "image": AGNHOST, "command": command, "env": env, "volumeMounts": mounts, **more}


def pod_spec(*containers: Document, **more: Any) -> Document:
    """For workers, as all pods of users."""
    every = [*containers, *more.get("initContainers", [])] or [container()]
    used = {it["name"] for one in every for it in one.get("volumeMounts", [])}
    host = [{"name": key, "hostPath": {"path": path}} for key, path in HOST.items() if key in used]
    return {
        "terminationGracePeriodSeconds": 0,
        **more,
        "containers": list(containers) or [container()],
        "volumes": [*host, *more.get("volumes", [])],
    }


def pod(
    *containers: Document, labels: Document | None = None, finalizers: list[str] | None = None, **more: Any
) -> Document:
    """A pod called web that nobody owns."""
    meta = {"name": "web", "labels": labels or {"app": "web"}, **({"finalizers": finalizers} if finalizers else {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod_spec(*containers, **more)}


def owner(kind: str, *containers: Document, replicas: int = 1, spec: Document | None = None, **more: Any) -> Document:
    """A Deployment, StatefulSet or DaemonSet called web."""
    labels = {"app": "web"}
    own = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec(*containers, **more)},
        **({} if kind == "DaemonSet" else {"replicas": replicas}),
        **({"serviceName": "web"} if kind == "StatefulSet" else {}),
        **(spec or {}),
    }
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": own}


def deployment(*containers: Document, **more: Any) -> Document:
    """One called web, of one pod."""
    return owner("Deployment", *containers, **more)


def job(*containers: Document, **spec: Any) -> Document:
    """A job whose pod is tried once."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod_spec(*containers, restartPolicy="Never")}
    own = {"backoffLimit": 0, "template": template, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "web"}, "spec": own}


def cron_job(**spec: Any) -> Document:
    """A cron job that comes up at new year."""
    own = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job()["spec"]}, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web"}, "spec": own}


def service(target: Any = 8080, **spec: Any) -> Document:
    """A service for the pods called web."""
    own = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": target}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": own}


def claim(name: str = "data", **spec: Any) -> Document:
    """A claim of 1 GiB."""
    own = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": own}


def volume(name: str = "data", **source: Any) -> Document:
    """A pod's volume, from a claim if nothing else is said."""
    return {"name": name, **(source or {"persistentVolumeClaim": {"claimName": name}})}


def keys(kind: str, name: str, **data: str) -> Document:
    """A ConfigMap or Secret."""
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name},
        "stringData" if kind == "Secret" else "data": data,
    }


def quota(**hard: str) -> Document:
    """A quota called small."""
    names = {key.replace("_", "."): value for key, value in hard.items()}
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": names}}


def env_of(kind: str, name: str, key: str) -> list[Document]:
    """A variable from a key."""
    return [{"name": "X", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}]


def apart(topology: str = "kubernetes.io/hostname") -> Document:
    """No two pods on one node."""
    term = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": topology}
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def beside(app: str) -> Document:
    """Only where such a pod is."""
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def admission(kind: str, space: str) -> list[Document]:
    """A webhook that nobody answers, or a policy that refuses, for the pods of one namespace."""
    name = f"{space}.why.example"
    rule: Document = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    own: Document = {"matchLabels": {"kubernetes.io/metadata.name": space}}
    api: Document = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    if kind == "webhook":
        asked: Document = {"service": {"namespace": space, "name": "gone", "path": "/"}}
        hook: Document = {
            "name": name,
            "rules": [rule],
            "clientConfig": asked,
            "sideEffects": "None",
            "timeoutSeconds": 2,
        }
        hook |= {"admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "namespaceSelector": own}
        return [{**api, "kind": "ValidatingWebhookConfiguration", "webhooks": [hook]}]
    check = {"expression": "has(object.metadata.labels.team)", "message": "a pod has to say its team"}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [check]}
    bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": own}}
    return [
        {**api, "kind": "ValidatingAdmissionPolicy", "spec": spec},
        {**api, "kind": "ValidatingAdmissionPolicyBinding", "spec": bound},
    ]


def mounted(**source: Any) -> Document:
    """A deployment that mounts something at /data."""
    at = container(volumeMounts=[{"name": "data", "mountPath": "/data"}])
    return deployment(at, volumes=[volume(**source)])


LIMITS: Document = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "most"}}
LIMITS["spec"] = {"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]}
MORE_THAN_WORKERS = len(WORKERS) + 1
POD = "pod/{ns}/{pod}"

SCHEDULING = [
    Case("cpu", [pod(container(resources={"requests": {"cpu": "640"}}))], "pod/web", "NotEnoughResources", WEB, "640 cpu"),
    Case("memory", [deployment(container(resources={"requests": {"memory": "9000Gi"}}))], code="NotEnoughResources", object=POD, says="memory"),
    Case("selector", [pod(nodeSelector={"disk": "ssd"})], "pod/web", "NodeSelectorMatchesNothing", WEB, "disk=ssd"),
    Case("taint", [pod(nodeSelector={"kubernetes.io/hostname": MASTERS[0]})], "pod/web", "Taint", WEB, "control-plane"),
    Case("anti", [deployment(replicas=MORE_THAN_WORKERS, affinity=apart())], code="AntiAffinity", object=POD),
    Case("near", [pod(affinity=beside("cache"))], "pod/web", "PodAffinity", WEB),
    Case("hostport", [deployment(container(ports=[{"containerPort": 8080, "hostPort": 18081}]), replicas=MORE_THAN_WORKERS)], code="HostPortTaken", object=POD),
    Case("gate", [pod(schedulingGates=[{"name": "example.com/budget"}])], "pod/web", "SchedulingGated", WEB, "example.com/budget"),
    Case("scheduler", [pod(schedulerName="mine")], "pod/web", "NoScheduler", "scheduler/mine"),
    Case("claim", [pod(volumes=[volume()])], "pod/web", "ClaimMissing", "persistentvolumeclaim/{ns}/data"),
    Case("class", [pod(volumes=[volume()]), claim(storageClassName="fast")], "pod/web", "StorageClassMissing", "storageclass/fast"),
    Case("no-class", [claim()], "pvc/data", "NoDefaultStorageClass", "persistentvolumeclaim/{ns}/data"),
    Case("no-volume", [claim(storageClassName="")], "pvc/data", "NoVolumeFits", "persistentvolumeclaim/{ns}/data"),
]  # fmt: skip

CREATION = [
    Case("quota", [quota(pods="1"), deployment(replicas=2)], code="QuotaExceeded", object="resourcequota/{ns}/small"),
    Case("quota-requests", [quota(requests_cpu="1"), deployment()], code="QuotaNeedsRequests", object="resourcequota/{ns}/small"),
    Case("limits", [LIMITS, deployment(container(resources={"limits": {"memory": "1Gi"}}))], code="LimitRange", object="limitrange/{ns}", says="64Mi"),
    Case("security", [deployment(container(securityContext={"privileged": True}))], code="PodSecurity", object="namespace/{ns}", says="restricted",
         labels=(("pod-security.kubernetes.io/enforce", "restricted"),)),
    Case("account", [owner("StatefulSet", serviceAccountName="robot")], "statefulset/web", "ServiceAccountMissing", "serviceaccount/{ns}/robot"),
    Case("priority", [owner("DaemonSet", priorityClassName="urgent")], "daemonset/web", "PriorityClassMissing", "priorityclass/urgent"),
    Case("webhook", [*admission("webhook", "why-webhook"), deployment(replicas=0)], code="WebhookUnreachable", object="webhook/{ns}.why.example", says="not found"),
    Case("policy", [*admission("policy", "why-policy"), deployment(replicas=0)], code="PolicyDenied", object="validatingadmissionpolicy/{ns}.why.example", says="team"),
]  # fmt: skip

IMAGES = [
    Case("tag", [deployment(container(image=NO_TAG))], code="ImageNotFound", object=f"image/{NO_TAG}"),
    Case("digest", [deployment(container(image=NO_DIGEST))], code="ImageDigestUnknown", object=f"image/{NO_DIGEST}"),
    Case("image-name", [pod(container(image="Shop:1.0"))], "pod/web", "ImageNameInvalid", "image/Shop:1.0"),
    Case("never", [deployment(container(image=NO_TAG, imagePullPolicy="Never"))], code="ImageNeverPull", object=f"image/{NO_TAG}"),
]  # fmt: skip

EXEC = {"exec": {"command": ["/agnhost", "no-such-command"]}, "periodSeconds": 1, "failureThreshold": 1}
CONTAINERS = [
    Case("mount-secret", [mounted(secret={"secretName": "tls"})], code="SecretMissing", object="secret/{ns}/tls"),
    Case("mount-config", [mounted(configMap={"name": "settings"})], code="ConfigMapMissing", object="configmap/{ns}/settings"),
    Case("mount-key", [keys("ConfigMap", "settings", a="1"), mounted(configMap={"name": "settings", "items": [{"key": "b", "path": "b"}]})],
         code="KeyMissing", object=POD, says="key b"),
    Case("host-path", [mounted(hostPath={"path": "/srv/nothing", "type": "Directory"})], code="HostPathWrong", says="/srv/nothing"),
    Case("config-map", [deployment(container(env=env_of("configMap", "settings", "a")))], code="ConfigMapMissing", object="configmap/{ns}/settings"),
    Case("secret", [deployment(container(env=env_of("secret", "login", "a")))], code="SecretMissing", object="secret/{ns}/login"),
    Case("key", [keys("Secret", "login", user="x"), deployment(container(env=env_of("secret", "login", "password")))], code="KeyMissing", object="secret/{ns}/login", says="key password"),
    Case("root", [deployment(container(securityContext={"runAsNonRoot": True}))], code="MustNotRunAsRoot", object=POD),
    Case("command", [deployment(container(command=["serve"]))], code="CommandNotFound", object=POD, says="serve"),
    Case("executable", [deployment(container(command=["/etc/passwd"]))], code="NotExecutable", object=POD, says="/etc/passwd"),
    Case("format", [keys("ConfigMap", "app", app="no program\n"), deployment(container(command=["/data/app"], volumeMounts=[{"name": "data", "mountPath": "/data"}]),
         volumes=[volume(configMap={"name": "app", "defaultMode": 0o755})])], code="WrongPlatform", object=f"image/{AGNHOST}"),
    Case("cwd", [deployment(container(workingDir="/agnhost"))], code="WorkingDirectory", object=POD, says="directory /agnhost"),
    Case("mount-wrong", [deployment(container(volumeMounts=[{"name": "data", "mountPath": "/agnhost"}]), volumes=[volume(emptyDir={})])], code="MountWrong", object=POD),
    Case("no-memory", [deployment(container(resources={"limits": {"memory": "100k"}}))], code="MemoryLimitTooSmall", object=POD),
    Case("oom", [deployment(shell("a=xxxxxxxx; while :; do a=$a$a; done", resources={"limits": {"memory": "48Mi"}}))], code="OutOfMemory", object=POD, says="48Mi"),
    Case("exit", [deployment(shell("echo giving up; exit 3"))], code="ExitCode", object=POD, says="exit code 3"),
    Case("ends", [deployment(shell("exit 0"))], code="EndsByItself", object=POD),
    Case("segv", [deployment(shell("bash -c 'kill -SEGV $$'; exit $?"))], code="Crashed", object=POD, says="SIGSEGV"),
    Case("log-read-only", [deployment(shell("echo x >/file", securityContext={"readOnlyRootFilesystem": True}))], code="ReadOnlyFileSystem", object=POD, says="read-only"),
    Case("log-name", [deployment(shell("curl --silent --show-error http://nowhere.invalid/"))], code="NameUnknown", object=POD),
    Case("log-refused", [deployment(shell("exec 3<>/dev/tcp/127.0.0.1/1"))], code="DependencyDown", object=POD),
    Case("log-permission", [deployment(shell("echo x >/file", securityContext={"runAsUser": 65534}))], code="NoPermission", object=POD),
    Case("log-command", [deployment(shell("migrate-all --now"))], code="CommandNotFound", object=POD),
    Case("port-taken", [deployment(container(), container("proxy"))], code="PortTaken", object=POD),
    Case("readiness", [deployment(container(readinessProbe=NOBODY_LISTENS))], code="ReadinessProbe", object=POD, says="nothing listens on port 8081"),
    Case("readiness-command", [deployment(container(readinessProbe={"exec": {"command": ["/check"]}, "periodSeconds": 1}))], code="ReadinessProbe", object=POD, says="lacks the probe's program"),
    Case("liveness", [deployment(container(livenessProbe=NOBODY_LISTENS))], code="LivenessProbe", object=POD, says="nothing listens on port 8081"),
    Case("startup", [deployment(container(startupProbe=EXEC))], code="StartupProbe", object=POD),
    Case("hook", [deployment(container(lifecycle={"postStart": {"exec": {"command": ["/agnhost", "no-such-command"]}}}))], code="PostStartHook", object=POD),
    Case("init", [pod(initContainers=[shell("exit 2", "migrate")])], "pod/web", "ExitCode", WEB, "init container migrate"),
    Case("init-runs", [pod(initContainers=[container("wait", args=["pause"])])], "pod/web", "InitContainerRuns", WEB, "wait"),
    Case("sidecar", [pod(container(), shell("exit 1", "proxy"))], "pod/web", "ExitCode", WEB, "proxy"),
    Case("failed", [pod(shell("exit 4"), restartPolicy="Never")], "pod/web", "ExitCode", WEB, "exit code 4"),
    Case("gates", [pod(readinessGates=[{"conditionType": "example.com/dns"}])], "pod/web", "ReadinessGate", WEB),
    Case("storage-limit", [pod(shell("head -c 9000000 /dev/zero >/data/file; sleep 999", volumeMounts=[{"name": "data", "mountPath": "/data"}]),
         volumes=[volume(emptyDir={"sizeLimit": "1Mi"})])], "pod/web", "StorageLimit", WEB, "1Mi"),
]  # fmt: skip

OTHERS = [
    Case("job-failed", [job(shell("exit 5"))], "job/web", "ExitCode", POD, "exit code 5"),
    Case("job-late", [job(activeDeadlineSeconds=5)], "job/web", "DeadlineExceeded", "job/{ns}/web"),
    Case("job-suspended", [job(suspend=True)], "job/web", "Suspended", "job/{ns}/web"),
    Case("cron-suspended", [cron_job(suspend=True)], "cronjob/web", "Suspended", "cronjob/{ns}/web"),
    Case("paused", [deployment(spec={"paused": True})], code="Paused", object="deployment/{ns}/web"),
    Case("service-labels", [pod(labels={"app": "wep"}), service()], "service/web", "SelectorMatchesNothing", "service/{ns}/web", "app=wep"),
    Case("service-zero", [deployment(replicas=0), service()], "service/web", "ScaledToZero", "deployment/{ns}/web"),
    Case("service-name", [pod(), service("web")], "service/web", "PortNameUnknown", "service/{ns}/web", "called web"),
    Case("service-port", [pod(), service(9090)], "service/web", "PortRefused", "service/{ns}/web", "port 9090"),
    Case("service-crash", [deployment(shell("exit 3")), service()], "service/web", "ExitCode", POD),
    Case("service-bare", [{**service(), "spec": {"ports": [{"port": 80}]}}], "service/web", "NoSelector", "service/{ns}/web"),
    Case("service-lb", [pod(), service(type="LoadBalancer")], "service/web", "NoLoadBalancer", "service/{ns}/web"),
    Case("finalizer", [pod(finalizers=["example.com/keep"])], "pod/web", "Finalizer", WEB, "example.com/keep"),
]  # fmt: skip

# What has to be mended first is the verdict, and the other is named too.
PAIRS = [
    Case("pair-containers", [deployment(container(image=NO_TAG), shell("echo out; exit 3", "proxy"))], code="ImageNotFound", object=f"image/{NO_TAG}", also=("ExitCode",)),
    Case("pair-quota", [quota(pods="1"), deployment(container(env=env_of("secret", "login", "a")), replicas=2)], code="QuotaExceeded", object="resourcequota/{ns}/small", also=("SecretMissing",)),
    Case("pair-claims", [pod(volumes=[volume(), volume("more")]), claim(storageClassName="fast")], "pod/web", "StorageClassMissing", "storageclass/fast", also=("ClaimMissing",)),
    Case("pair-service", [deployment(container(readinessProbe=NOBODY_LISTENS)), service("web")], "service/web", "ReadinessProbe", POD, also=("PortNameUnknown",)),
]  # fmt: skip

WELL = [
    Case("well-pod", [pod()], "pod/web"),
    Case("well-name", [pod()], "web"),
    Case("well-deployment", [deployment(replicas=2)]),
    Case("well-guessed", [deployment()], "web"),
    Case("well-zero", [deployment(replicas=0)]),
    Case("well-statefulset", [owner("StatefulSet", replicas=2)], "statefulset/web"),
    Case("well-daemonset", [owner("DaemonSet", tolerations=[{"operator": "Exists"}])], "daemonset/web"),
    Case("well-job", [job(shell("echo done"))], "job/web"),
    Case("well-job-running", [job()], "job/web"),
    Case("well-done", [pod(shell("echo done"), restartPolicy="Never")], "pod/web"),
    Case("well-cronjob", [cron_job()], "cronjob/web"),
    Case("well-init", [pod(initContainers=[shell("echo done", "migrate")])], "pod/web"),
    Case("well-sidecar", [pod(initContainers=[container("proxy", args=["pause"], restartPolicy="Always")])], "pod/web"),
    Case("well-service", [deployment(replicas=2), service()], "service/web"),
    Case("well-service-named", [deployment(), service("http")], "service/web"),
    Case("well-headless", [owner("StatefulSet"), service(clusterIP="None")], "service/web"),
    Case("well-external", [service(type="ExternalName", externalName="db.example", selector=None)], "service/web"),
    Case("well-probes", [deployment(container(readinessProbe=GET, livenessProbe=GET, startupProbe=GET))]),
    Case("well-mounts", [keys("Secret", "login", password="x"), mounted(secret={"secretName": "login"})]),
    Case("well-host", [pod(container(args=["pause"], ports=[]), hostNetwork=True)], "pod/web"),
    Case("well-dns", [], "kube-system/service/kube-dns"),
    Case("well-coredns", [], "kube-system/deployment/coredns"),
    Case("well-master", [], f"node/{MASTERS[0]}"),
]  # fmt: skip
FAULTS = [*SCHEDULING, *CREATION, *IMAGES, *CONTAINERS, *OTHERS]
CASES = [*FAULTS, *PAIRS, *WELL]
