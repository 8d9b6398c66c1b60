# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E501  (texts of programs stay as they are)
"""The cases: what is made, what a kubelet says of it, what is asked, and what the answer has to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.target import Target, parse

from . import kubelet as k
from .objects import claim, container, cron_job, deployment, job, owner, pod, policy, quota, service, volume, webhook

Document = dict[str, Any]
IMAGE = "registry.example/shop/web:1.0"


@dataclass(frozen=True)
class Case:
    """`code` is empty where all is well. `{ns}` in `object` is the case's namespace."""

    name: str
    objects: list[Document]
    target: str
    code: str = ""
    object: str = ""
    # What is said of its containers, by the container's name; the others are well.
    kubelet: dict[str, k.Fault] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    # What else is found.
    also: tuple[str, ...] = ()
    # A word that the verdict has to have.
    says: str = ""

    @property
    def wanted(self) -> Target:
        """What is asked for, as a person would in the case's namespace."""
        asked = self.target.format(ns=self.name)
        return parse(asked, self.name, given=not asked.startswith(f"{self.name}/"))

    def check(self, said: dict[str, Any]) -> None:
        """The answer has the right cause and object, or none."""
        assert said["state"] == ("broken" if self.code else "healthy"), said["verdict"]
        assert said["cause"].get("code", "") == self.code, said["verdict"]
        assert self.says in said["verdict"], said["verdict"]
        also = {it["code"] for it in said["also"]}
        assert set(self.also) <= also, also
        if self.object:
            found, wanted = said["cause"]["object"], self.object.format(ns=self.name)
            assert found == wanted, found


def room(**requests: str) -> Document:
    """A container that asks for resources."""
    return container(resources={"requests": requests})


GET = {"httpGet": {"path": "/health", "port": 8080}}
ANTI = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
        ]
    }
}
NEAR = {"podAffinity": {**ANTI["podAntiAffinity"]}}
NEAR["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = [
    {"labelSelector": {"matchLabels": {"app": "cache"}}, "topologyKey": "kubernetes.io/hostname"}
]
WEB = "pod/{ns}/web"
ONE = {"pool": "one"}

SCHEDULING = [
    Case("cpu", [pod(room(cpu="64"))], "pod/web", "NotEnoughResources", WEB, says="64 cpu"),
    Case("memory", [deployment(room(memory="100Gi"))], "deployment/web", "NotEnoughResources", says="100.0 GiB memory"),
    Case("selector", [pod(nodeSelector={"disk": "ssd"})], "{ns}/web", "NodeSelectorMatchesNothing", WEB, says="disk=ssd"),
    Case("taint", [pod(nodeSelector={"pool": "tainted"})], "pod/web", "Taint", WEB, says="dedicated=batch:NoSchedule"),
    Case("cordon", [pod(nodeSelector={"pool": "cordoned"})], "pod/web", "NodesCordoned", "node/cordoned"),
    Case("anti", [deployment(replicas=3, affinity=ANTI)], "deployment/web", "AntiAffinity"),
    Case("near", [pod(affinity=NEAR)], "pod/web", "PodAffinity", WEB),
    Case("hostport", [deployment(container(ports=[{"containerPort": 80, "hostPort": 8081}]), replicas=3)], "deployment/web", "HostPortTaken"),
    Case("spread", [pod(topologySpreadConstraints=[{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
         "labelSelector": {"matchLabels": {"app": "web"}}}])], "pod/web", "TopologySpread", WEB),
    Case("gate", [pod(schedulingGates=[{"name": "example.com/budget"}])], "pod/web", "SchedulingGated", WEB, says="example.com/budget"),
    Case("scheduler", [pod(schedulerName="mine")], "pod/web", "NoScheduler", "scheduler/mine"),
    Case("dead-pool", [pod(nodeSelector={"pool": "silent"})], "pod/web", "NodeSilent", "node/silent"),
    Case("claim", [pod(volumes=[volume()])], "pod/web", "ClaimMissing", "persistentvolumeclaim/{ns}/data"),
    Case("class", [pod(volumes=[volume()]), claim(storage_class="fast")], "pod/web", "StorageClassMissing", "storageclass/fast"),
    Case("no-class", [pod(volumes=[volume()]), claim()], "pod/web", "NoDefaultStorageClass", "persistentvolumeclaim/{ns}/data"),
    Case("provisioner", [pod(volumes=[volume()]), claim(storage_class="slow")], "pod/web", "ProvisionerSilent", "provisioner/csi.example"),
]  # fmt: skip

CREATION = [
    Case("quota", [quota(pods="1"), deployment(replicas=2)], "deployment/web", "QuotaExceeded", "resourcequota/{ns}/small"),
    Case("quota-requests", [quota(requests_cpu="1"), deployment()], "deployment/web", "QuotaNeedsRequests", "resourcequota/{ns}/small"),
    Case("limits", [{"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "most"}, "spec": {"limits": [
         {"type": "Container", "max": {"memory": "64Mi"}}]}}, deployment(container(resources={"limits": {"memory": "1Gi"}}))],
         "deployment/web", "LimitRange", "limitrange/{ns}", says="64Mi"),
    Case("security", [deployment(container(securityContext={"privileged": True}))], "deployment/web", "PodSecurity", "namespace/{ns}",
         labels={"pod-security.kubernetes.io/enforce": "restricted"}, says="restricted"),
    Case("account", [owner("StatefulSet", serviceAccountName="robot")], "statefulset/web", "ServiceAccountMissing", "serviceaccount/{ns}/robot"),
    Case("priority", [owner("DaemonSet", priorityClassName="urgent")], "daemonset/web", "PriorityClassMissing", "priorityclass/urgent"),
    Case("runtime", [job(container())], "job/web", "RuntimeClassMissing", "runtimeclass/gvisor"),
    Case("webhook", [webhook("webhook", {"service": {"namespace": "webhook", "name": "gone", "path": "/"}}), deployment()], "deployment/web",
         "WebhookUnreachable", "webhook/{ns}.why.example", says="not found"),
    Case("webhook-url", [webhook("webhook-url", {"url": "https://127.0.0.1:1/"}), deployment()], "deployment/web",
         "WebhookUnreachable", "webhook/{ns}.why.example", says="connection refused"),
    Case("policy", [*policy("policy"), deployment()], "deployment/web", "PolicyDenied", "validatingadmissionpolicy/{ns}.why.example", says="team"),
]  # fmt: skip
CREATION[6].objects[0]["spec"]["template"]["spec"]["runtimeClassName"] = "gvisor"


def no_pull_secret(a_pod: Document, a_container: Document) -> k.Said:
    """The kubelet finds no pull secret, tries without, and is refused (kubelet.go)."""
    text = "pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
    said = k.pull(k.PULL + text)(a_pod, a_container)
    words = "Unable to retrieve some image pull secrets (robot); attempting to pull the image may not succeed."
    return said.event("FailedToRetrieveImagePullSecret", words)


IMAGES = [
    Case("tag", [deployment()], "deployment/web", "ImageNotFound", f"image/{IMAGE}",
         {"web": k.pull(k.PULL + "{image}: not found", code="NotFound")}),
    Case("login", [deployment()], "deployment/web", "ImagePullUnauthorized", f"image/{IMAGE}",
         {"web": k.pull(k.PULL + "failed to authorize: failed to fetch oauth token: unexpected status from GET request: 401 Unauthorized")}, says="no imagePullSecrets"),
    Case("pull-secret", [pod(imagePullSecrets=[{"name": "robot"}])], "pod/web", "PullSecretMissing", "secret/{ns}/robot", {"web": no_pull_secret}),
    Case("registry", [deployment()], "deployment/web", "RegistryUnreachable", "registry/registry.example",
         {"web": k.pull(k.PULL + "failed to do request: Head \"https://registry.example/v2/shop/web/manifests/1.0\": dial tcp 192.0.2.9:443: connect: connection refused")}),
    Case("registry-name", [deployment()], "deployment/web", "RegistryNameUnknown", "registry/registry.example",
         {"web": k.pull(k.PULL + "failed to do request: Head \"https://registry.example/v2/\": dial tcp: lookup registry.example on 192.0.2.1:53: no such host")}),
    Case("registry-tls", [deployment()], "deployment/web", "RegistryCertificate", "registry/registry.example",
         {"web": k.pull(k.PULL + "failed to do request: Head \"https://registry.example/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority")}),
    Case("platform", [deployment()], "deployment/web", "ImageWrongPlatform", f"image/{IMAGE}",
         {"web": k.pull('failed to pull and unpack image "{image}": no match for platform in manifest: not found', code="NotFound")}),
    Case("image-name", [pod(container(image="Shop:1.0"))], "pod/web", "ImageNameInvalid", "image/Shop:1.0",
         {"web": lambda _p, _c: k.waiting("InvalidImageName", 'Failed to apply default image tag "Shop:1.0": couldn\'t parse image name "Shop:1.0": invalid reference format: repository name (library/Shop) must be lowercase')}),
    Case("never", [pod(container(imagePullPolicy="Never"))], "pod/web", "ImageNeverPull", f"image/{IMAGE}",
         {"web": lambda _p, _c: k.waiting("ErrImageNeverPull", f'Container image "{IMAGE}" is not present with pull policy of Never')}),
]  # fmt: skip

CONTAINERS = [
    Case("cni-plugin", [deployment(nodeSelector=ONE)], "deployment/web", "CniPluginMissing", "node/one",
         {"web": k.sandbox('failed to setup network for sandbox "0a1b": failed to find plugin "bridge" in path [/opt/cni/bin]')}),
    Case("addresses", [deployment(nodeSelector=ONE)], "deployment/web", "PodAddressesUsedUp", "node/one",
         {"web": k.sandbox('failed to setup network for sandbox "0a1b": plugin type="bridge" failed (add): failed to allocate for range 0: no IP addresses available in range set: 10.244.1.1-10.244.1.254')}),
    Case("runtime-handler", [deployment(nodeSelector=ONE)], "deployment/web", "RuntimeHandlerMissing", "node/one",
         {"web": k.sandbox('failed to get sandbox runtime: no runtime for "runsc" is configured')}, says="runsc"),
    Case("kubelet-silent", [pod(nodeSelector=ONE)], "pod/web", "KubeletSilent", "node/one", {"web": k.silent}),
    Case("mount-secret", [deployment()], "deployment/web", "SecretMissing", "secret/{ns}/tls",
         {"web": k.creating(("FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "tls" not found'))}),
    Case("mount-config", [deployment()], "deployment/web", "ConfigMapMissing", "configmap/{ns}/settings",
         {"web": k.creating(("FailedMount", 'MountVolume.SetUp failed for volume "settings" : configmap "settings" not found'))}),
    Case("host-path", [deployment(nodeSelector=ONE)], "deployment/web", "HostPathWrong", "node/one",
         {"web": k.creating(("FailedMount", 'MountVolume.SetUp failed for volume "data" : hostPath type check failed: /srv/data is not a directory'))}),
    Case("config-map", [deployment()], "deployment/web", "ConfigMapMissing", "configmap/{ns}/settings", {"web": k.config('configmap "settings" not found')}),
    Case("secret", [deployment()], "deployment/web", "SecretMissing", "secret/{ns}/login", {"web": k.config('secret "login" not found')}),
    Case("key", [deployment()], "deployment/web", "KeyMissing", "secret/{ns}/login", {"web": k.config("couldn't find key password in Secret {namespace}/login")}, says="key password"),
    Case("root", [deployment()], "deployment/web", "MustNotRunAsRoot", "",
         {"web": k.config('container has runAsNonRoot and image will run as root (pod: "{name}_{namespace}", container: web)')}),
    Case("command", [deployment()], "deployment/web", "CommandNotFound", "", {"web": k.start('exec: "serve": executable file not found in $PATH')}, says="serve"),
    Case("executable", [deployment()], "deployment/web", "NotExecutable", "", {"web": k.start('exec: "/app": permission denied')}, says="/app"),
    Case("format", [deployment()], "deployment/web", "WrongPlatform", f"image/{IMAGE}", {"web": k.start("exec /app: exec format error")}),
    Case("cwd", [deployment()], "deployment/web", "WorkingDirectory", "", {"web": k.start('chdir to cwd ("/srv/app") set in config.json failed: permission denied')}, says="/srv/app"),
    Case("oom", [deployment(container(resources={"limits": {"memory": "64Mi"}}))], "deployment/web", "OutOfMemory", "", {"web": k.crash(137, "OOMKilled")}, says="64Mi"),
    Case("exit", [deployment()], "deployment/web", "ExitCode", "", {"web": k.crash(3)}, says="exit code 3"),
    Case("ends", [deployment()], "deployment/web", "EndsByItself", "", {"web": k.crash(0, "Completed")}),
    Case("segv", [deployment()], "deployment/web", "Crashed", "", {"web": k.crash(139)}, says="SIGSEGV"),
    Case("log-read-only", [deployment()], "deployment/web", "ReadOnlyFileSystem", "", {"web": k.crash(1)}, says="read-only"),
    Case("log-name", [deployment()], "deployment/web", "NameUnknown", "", {"web": k.crash(1)}),
    Case("log-refused", [deployment()], "deployment/web", "DependencyDown", "", {"web": k.crash(1)}),
    Case("readiness", [deployment(container(readinessProbe=GET))], "deployment/web", "ReadinessProbe", "",
         {"web": k.probe("Readiness", 'Get "http://10.244.1.7:8080/health": dial tcp 10.244.1.7:8080: connect: connection refused')}, says="nothing listens on port 8080"),
    Case("liveness", [deployment(container(livenessProbe=GET))], "deployment/web", "LivenessProbe", "", {"web": k.probe("Liveness", "HTTP probe failed with statuscode: 500")}, says="answered 500"),
    Case("startup", [deployment(container(startupProbe={**GET, "timeoutSeconds": 2}))], "deployment/web", "StartupProbe", "",
         {"web": k.probe("Startup", 'Get "http://10.244.1.7:8080/health": context deadline exceeded (Client.Timeout exceeded while awaiting headers)')}, says="within 2 s"),
    Case("init", [pod(initContainers=[container(name="migrate")])], "pod/web", "ExitCode", WEB,
         {"migrate": k.crash(2), "web": lambda _p, _c: k.waiting("PodInitializing")}, says="migrate"),
    Case("init-runs", [pod(initContainers=[container(name="wait")])], "pod/web", "InitContainerRuns", WEB,
         {"wait": lambda _p, _c: k.running(False), "web": lambda _p, _c: k.waiting("PodInitializing")}, says="wait"),
    Case("sidecar", [pod(container(), container(name="proxy"))], "pod/web", "ExitCode", WEB, {"proxy": k.crash(1)}, says="proxy"),
    Case("evicted", [pod(nodeSelector=ONE)], "pod/web", "Evicted", "node/one", {"web": k.evicted}),
    Case("failed", [pod(restartPolicy="Never")], "pod/web", "ExitCode", WEB, {"web": k.failed(4)}, says="exit code 4"),
    Case("gates", [pod(readinessGates=[{"conditionType": "example.com/dns"}])], "pod/web", "ReadinessGate", WEB,
         {"web": lambda _p, _c: k.running(True).on_pod(conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": k.stamp(30)}])}),
    Case("network", [pod(nodeSelector={"pool": "no-network"}, tolerations=[{"operator": "Exists"}])], "pod/web", "NodeNetworkNotReady", "node/no-network", {"web": k.silent}),
]  # fmt: skip

OTHERS = [
    Case("job-failed", [job()], "job/web", "ExitCode", "", {"web": k.failed(5)}, says="exit code 5"),
    Case("job-late", [job(spec={"activeDeadlineSeconds": 1})], "job/web", "DeadlineExceeded", "job/{ns}/web", {"web": k.well}),
    Case("job-suspended", [job(spec={"suspend": True})], "job/web", "Suspended", "job/{ns}/web"),
    Case("cron-suspended", [cron_job(suspend=True)], "cronjob/web", "Suspended", "cronjob/{ns}/web"),
    Case("paused", [deployment(spec={"paused": True})], "deployment/web", "Paused", "deployment/{ns}/web"),
    Case("service-labels", [pod(labels={"app": "wep"}), service()], "service/web", "SelectorMatchesNothing", "service/{ns}/web", says="app=wep"),
    Case("service-zero", [deployment(replicas=0), service()], "service/web", "ScaledToZero", "deployment/{ns}/web"),
    Case("service-name", [pod(container(ports=[{"name": "http", "containerPort": 8080}])), service("web")], "service/web", "PortNameUnknown", "service/{ns}/web", says="called web"),
    Case("service-port", [pod(container(ports=[{"containerPort": 8080}])), service(1)], "service/web", "PortRefused", "service/{ns}/web"),
    Case("service-crash", [deployment(), service()], "service/web", "ExitCode", "", {"web": k.crash(3)}),
    Case("service-bare", [{**service(), "spec": {"ports": [{"port": 80}]}}], "service/web", "NoSelector", "service/{ns}/web"),
    Case("service-lb", [pod(container(ports=[{"containerPort": 8080}])), service(type="LoadBalancer")], "service/web", "NoLoadBalancer", "service/{ns}/web"),
    Case("pvc", [claim()], "pvc/data", "NoDefaultStorageClass", "persistentvolumeclaim/{ns}/data"),
    Case("pvc-class", [claim(storage_class="fast")], "pvc/data", "StorageClassMissing", "storageclass/fast"),
    Case("pvc-static", [claim(storage_class="")], "pvc/data", "NoVolumeFits", "persistentvolumeclaim/{ns}/data"),
    Case("finalizer", [{**pod(), "metadata": {"name": "web", "finalizers": ["example.com/keep"]}}], "pod/web", "Finalizer", WEB, says="example.com/keep"),
    Case("on-silent", [pod(nodeName="silent", nodeSelector={}, tolerations=[{"operator": "Exists"}])], "pod/web", "NodeSilent", "node/silent"),
    Case("node-silent", [], "node/silent", "NodeSilent", "node/silent"),
    Case("node-clock", [], "node/clock", "NodeClock", "node/clock", says="5 min behind"),
    Case("node-cordoned", [], "node/cordoned", "NodeCordoned", "node/cordoned"),
    Case("node-disk", [], "node/full", "DiskPressure", "node/full"),
    Case("node-network", [], "node/no-network", "NodeNetworkNotReady", "node/no-network"),
]  # fmt: skip

# Two faults at once: what has to be mended first is the verdict, and the other is named too where it shows already.
PAIRS = [
    Case(
        "pair-containers",
        [deployment(container(), container(name="proxy"))],
        "deployment/web",
        "ImageNotFound",
        f"image/{IMAGE}",
        {"web": k.pull(k.PULL + "{image}: not found", code="NotFound"), "proxy": k.crash(137, "OOMKilled")},
        also=("OutOfMemory",),
    ),
    Case(
        "pair-node",
        [pod(nodeName="silent", nodeSelector={}, tolerations=[{"operator": "Exists"}], volumes=[volume()])],
        "pod/web",
        "NodeSilent",
        "node/silent",
    ),
    Case(
        "pair-quota",
        [quota(pods="1"), deployment(replicas=2)],
        "deployment/web",
        "QuotaExceeded",
        "resourcequota/{ns}/small",
        {"web": k.config('secret "login" not found')},
        also=("SecretMissing",),
    ),
    Case(
        "pair-claims",
        [pod(volumes=[volume(), volume("more")]), claim(storage_class="fast")],
        "pod/web",
        "StorageClassMissing",
        "storageclass/fast",
        also=("ClaimMissing",),
    ),
    Case(
        "pair-service",
        [deployment(container(readinessProbe=GET, ports=[{"name": "http", "containerPort": 8080}])), service("web")],
        "service/web",
        "ReadinessProbe",
        "",
        {"web": k.probe("Readiness", "HTTP probe failed with statuscode: 503")},
        also=("PortNameUnknown",),
    ),
]
CROWD = Case("crowd", [deployment(replicas=200, nodeSelector={"pool": "crowd"})], "deployment/web", "ImageNotFound", f"image/{IMAGE}",
             {"web": k.pull(k.PULL + "{image}: not found", code="NotFound")})  # fmt: skip

HEALTHY = [
    Case("well-pod", [pod()], "pod/web"),
    Case("well-name", [pod()], "web"),
    Case("well-restarted", [pod()], "pod/web", kubelet={"web": k.once}),
    Case("well-deployment", [deployment(replicas=3)], "deployment/web"),
    Case("well-guessed", [deployment()], "web"),
    Case("well-zero", [deployment(replicas=0)], "deployment/web"),
    Case("well-statefulset", [owner("StatefulSet", replicas=2)], "statefulset/web"),
    Case("well-daemonset", [owner("DaemonSet")], "daemonset/web"),
    Case("well-job", [job()], "job/web", kubelet={"web": k.done}),
    Case("well-job-running", [job()], "job/web"),
    Case("well-done", [pod(restartPolicy="Never")], "pod/web", kubelet={"web": k.done}),
    Case("well-cronjob", [cron_job()], "cronjob/web"),
    Case("well-init", [pod(initContainers=[container(name="migrate")])], "pod/web", kubelet={"migrate": lambda _p, _c: k.Said(k.ended(0, "Completed"), ready=True)}),
    Case("well-sidecar", [pod(initContainers=[container(name="proxy", restartPolicy="Always")])], "pod/web"),
    Case("well-service", [deployment(container(ports=[{"containerPort": 8080}]), replicas=2), service()], "service/web"),
    Case("well-service-named", [deployment(container(ports=[{"name": "http", "containerPort": 8080}])), service("http")], "service/web"),
    Case("well-headless", [owner("StatefulSet"), service(clusterIP="None")], "service/web"),
    Case("well-external", [service(type="ExternalName", externalName="db.example", selector=None)], "service/web"),
    Case("well-claim", [claim(storage_class="local")], "pvc/data"),
    Case("well-probe", [deployment(container(readinessProbe=GET, livenessProbe=GET))], "deployment/web"),
    Case("well-node", [], "node/main-1"),
]  # fmt: skip
# What programs of cases wrote last, by the case's name.
LOGS = {
    "log-read-only": "starting\nOSError: [Errno 30] Read-only file system: '/var/run/app.pid'\n",
    "log-name": "starting\nconnect: could not translate host name: Name or service not known\n",
    "log-refused": "starting\ndial tcp 10.99.3.4:5432: connect: connection refused\n",
}
CASES = [*SCHEDULING, *CREATION, *IMAGES, *CONTAINERS, *OTHERS, *PAIRS, CROWD, *HEALTHY]
