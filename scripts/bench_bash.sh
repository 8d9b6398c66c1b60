#!/usr/bin/env bash
# The floor of `make bench`: the cluster parts of an inventory with one master, put onto fresh machines by a plain script.
# No checks, no rollback, no second run, no outside host, no load balancer: what remains is the time that the parts themselves need.
#   scripts/bench_bash.sh inventories/lab-small        (after playbooks/artifacts.yml and playbooks/lab_create.yml)
# Its last line: seconds from the first certificate until all nodes are Ready and a Service answers by its DNS name.
set -euo pipefail
cd "$(dirname "$0")/.."
inventory=$1 lab=${LAB_DIR:-.lab}
work=$(mktemp -d)
finish() { for socket in "$work"/ssh/*; do [ -S "$socket" ] && ssh -o ControlPath="$socket" -O exit any 2>/dev/null; done; rm -rf "$work"; }
trap finish EXIT
pod_network=10.244.0.0/16 service_network=10.96.0.0/16 first_service=10.96.0.1 dns=10.96.0.10 pki=/etc/kubernetes/pki

# ---- Not measured: which machines there are, and where each artifact is in the cache.
declare -A address file layout ref
master="" nodes=()
version=$(sed -n 's/^cluster_kubernetes_version: "\?\([0-9.]*\).*/\1/p' roles/cluster/defaults/main.yml)
ansible-inventory -i "$inventory" --list >"$work/inventory.json"
ANSIBLE_CALLBACK_RESULT_FORMAT=json ansible localhost -i localhost, --check -m selfhosted.kubernetes.artifacts \
    -a "kubernetes_version=$version cache_dir=${XDG_CACHE_HOME:-~/.cache}/selfhosted-kubernetes pins=$work/pins" >"$work/artifacts"
eval "$(python3 - "$work" <<'PYTHON'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
inventory = json.loads((work / "inventory.json").read_text())
artifacts = json.loads((work / "artifacts").read_text().partition("=>")[2])
masters, workers = (inventory[group]["hosts"] for group in ("masters", "workers"))
print(f"master={masters[0]} nodes=({' '.join([masters[0], *workers])})")
for name, host in inventory["_meta"]["hostvars"].items():
    print(f"address[{name}]={host['ansible_host']}")
for files in artifacts["files"].values():
    for name, entry in files.items():
        print(f"file[{name}]={artifacts['cache_dir']}/sha256/{entry['sha256']}")
for name, image in artifacts["images"].items():
    print(f"ref[{name}]={image['ref']} layout[{name}]={image['layout']}")
PYTHON
)"
on() { # on NODE COMMAND...: over ssh, one connection for each machine
    local node=$1
    shift
    ssh -i "$lab/id_ed25519" -o UserKnownHostsFile="$lab/known_hosts" -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes \
        -o ControlMaster=auto -o ControlPath="$work/ssh/%h" -o ControlPersist=60 "root@${address[$node]}" "$@"
}
k() { on "$master" kubectl --kubeconfig=/etc/kubernetes/admin.conf "$@"; }
until_ok() { for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; "$@"; }
mkdir "$work/ssh"
began=$(date +%s%N)

# ---- Certificates: a CA for Kubernetes, one for etcd.
mkdir "$work/pki" "$work/pki/etcd"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }
ca() { # ca FOLDER NAME
    key "$work/pki/$1/ca.key"
    openssl req -x509 -new -key "$work/pki/$1/ca.key" -subj "/CN=$2" -days 30 -out "$work/pki/$1/ca.crt"
}
cert() { # cert FOLDER FILE SUBJECT [SAN]
    local at=$work/pki/$1
    key "$at/$2.key"
    openssl req -new -key "$at/$2.key" -subj "$3" | openssl x509 -req -CA "$at/ca.crt" -CAkey "$at/ca.key" -days 30 -out "$at/$2.crt" \
        -extfile <(echo "extendedKeyUsage=clientAuth,serverAuth"; echo "subjectAltName=${4:-DNS:none}") 2>/dev/null
}
ca . kubernetes
ca etcd etcd
local_names=DNS:localhost,IP:127.0.0.1
cert etcd etcd "/CN=etcd" "$local_names,IP:${address[$master]}" &
cert . apiserver "/O=system:masters/CN=kube-apiserver" "$local_names,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:${address[$master]},IP:$first_service" &
cert . admin "/O=system:masters/CN=kubernetes-admin" &
for name in kube-controller-manager kube-scheduler kube-proxy; do cert . "$name" "/CN=system:$name" "$local_names" & done
cert . flanneld "/CN=flanneld" &
for node in "${nodes[@]}"; do cert . "node-$node" "/O=system:nodes/CN=system:node:$node" "DNS:$node,IP:${address[$node]}" & done
openssl genrsa -out "$work/pki/sa.key" 2048 2>/dev/null && openssl rsa -in "$work/pki/sa.key" -pubout -out "$work/pki/sa.pub" 2>/dev/null
wait

# ---- Files of each machine, laid out as there.
put() { # put NODE PATH: from standard input
    mkdir -p "$work/$1${2%/*}"
    cat >"$work/$1$2"
}
binary() { # binary NODE NAME [FOLDER]
    mkdir -p "$work/$1${3:-/usr/local/bin}"
    ln -s "${file[$2]}" "$work/$1${3:-/usr/local/bin}/$2"
}
certs() { # certs NODE NAME...
    local node=$1 name
    shift
    mkdir -p "$work/$node$pki"
    for name in ca "$@"; do cp "$work/pki/$name.crt" "$work/$node$pki/"; done
    for name in "$@"; do cp "$work/pki/$name.key" "$work/$node$pki/"; done
}
kubeconfig() { # kubeconfig NODE PATH CERTIFICATE
    put "$1" "$2" <<YAML
apiVersion: v1
kind: Config
current-context: it
contexts: [{name: it, context: {cluster: it, user: it}}]
clusters: [{name: it, cluster: {server: "https://${address[$master]}:6443", certificate-authority: $pki/ca.crt}}]
users: [{name: it, user: {client-certificate: $pki/$3.crt, client-key: $pki/$3.key}}]
YAML
}
unit() { # unit NODE NAME TYPE COMMAND...
    local node=$1 name=$2 type=$3
    shift 3
    put "$node" "/etc/systemd/system/$name.service" <<UNIT
[Unit]
StartLimitIntervalSec=0
[Service]
Type=$type
Environment=NODE_NAME=$node
ExecStart=/usr/local/bin/$*
Restart=always
RestartSec=200ms
Delegate=yes
KillMode=process
[Install]
WantedBy=multi-user.target
UNIT
}
node() { # what every node has
    local name
    for name in containerd containerd-shim-runc-v2 ctr runc kubelet kube-proxy flanneld; do binary "$1" "$name"; done
    for name in bridge host-local loopback portmap; do binary "$1" "$name" /opt/cni/bin; done
    certs "$1" "node-$1" kube-proxy flanneld
    kubeconfig "$1" /etc/kubernetes/kubelet.conf "node-$1"
    kubeconfig "$1" /etc/kubernetes/kube-proxy.conf kube-proxy
    kubeconfig "$1" /etc/kubernetes/flanneld.conf flanneld
    for name in pause coredns agnhost; do tar -C "${layout[$name]}" -c . | put "$1" "/var/tmp/$name.tar"; done
    put "$1" /etc/sysctl.d/90-kubernetes.conf <<<"net.ipv4.ip_forward = 1"
    put "$1" /etc/containerd/config.toml <<TOML
version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '${ref[pause]}'
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/opt/cni/bin']
conf_dir = '/etc/cni/net.d'
conf_template = '/etc/containerd/cni.conflist.tmpl'
TOML
    put "$1" /etc/containerd/cni.conflist.tmpl <<'JSON'
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "mtu": 1450,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "{{.PodCIDR}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
    put "$1" /etc/kubernetes/kubelet.yaml <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [$dns]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
tlsCertFile: $pki/node-$1.crt
tlsPrivateKeyFile: $pki/node-$1.key
registerWithTaints: [$([ "$1" != "$master" ] || echo '{key: node-role.kubernetes.io/control-plane, effect: NoSchedule}')]
failCgroupV1: false
cgroupDriver: cgroupfs
oomScoreAdj: 0
YAML
    put "$1" /etc/kubernetes/kube-proxy.yaml <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.conf}
clusterCIDR: $pod_network
hostnameOverride: $1
conntrack: {maxPerCore: 0}
oomScoreAdj: 0
YAML
    put "$1" /etc/flannel.json <<<"{\"Network\": \"$pod_network\", \"EnableNFTables\": true, \"Backend\": {\"Type\": \"vxlan\"}}"
    unit "$1" containerd notify containerd
    unit "$1" kubelet simple kubelet --config=/etc/kubernetes/kubelet.yaml --kubeconfig=/etc/kubernetes/kubelet.conf --hostname-override="$1" --node-ip="${address[$1]}"
    unit "$1" kube-proxy simple kube-proxy --config=/etc/kubernetes/kube-proxy.yaml
    unit "$1" flanneld simple flanneld --kube-subnet-mgr --kubeconfig-file=/etc/kubernetes/flanneld.conf --net-config-path=/etc/flannel.json --iface="${address[$1]}" --ip-masq
}
for node in "${nodes[@]}"; do node "$node"; done
for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl; do binary "$master" "$name"; done
certs "$master" apiserver admin kube-controller-manager kube-scheduler
cp "$work"/pki/sa.* "$work/$master$pki/"
mkdir "$work/$master$pki/etcd" && cp "$work"/pki/etcd/{ca.crt,etcd.crt,etcd.key} "$work/$master$pki/etcd/"
kubeconfig "$master" /etc/kubernetes/admin.conf admin
for name in kube-controller-manager kube-scheduler; do kubeconfig "$master" "/etc/kubernetes/$name.conf" "$name"; done
etcd=https://${address[$master]}
unit "$master" etcd notify etcd --name="$master" --data-dir=/var/lib/etcd --listen-client-urls="$etcd:2379" --advertise-client-urls="$etcd:2379" \
    --listen-peer-urls="$etcd:2380" --initial-advertise-peer-urls="$etcd:2380" --initial-cluster="$master=$etcd:2380" --client-cert-auth --peer-client-cert-auth \
    --{,peer-}trusted-ca-file=$pki/etcd/ca.crt --{,peer-}cert-file=$pki/etcd/etcd.crt --{,peer-}key-file=$pki/etcd/etcd.key
unit "$master" kube-apiserver simple kube-apiserver --advertise-address="${address[$master]}" --allow-privileged=true --authorization-mode=Node,RBAC --client-ca-file=$pki/ca.crt \
    --enable-admission-plugins=NodeRestriction --etcd-servers="$etcd:2379" --etcd-cafile=$pki/etcd/ca.crt --etcd-certfile=$pki/etcd/etcd.crt --etcd-keyfile=$pki/etcd/etcd.key \
    --kubelet-client-certificate=$pki/apiserver.crt --kubelet-client-key=$pki/apiserver.key --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file=$pki/sa.pub --service-account-signing-key-file=$pki/sa.key \
    --service-cluster-ip-range=$service_network --tls-cert-file=$pki/apiserver.crt --tls-private-key-file=$pki/apiserver.key
unit "$master" kube-controller-manager simple kube-controller-manager --kubeconfig=/etc/kubernetes/kube-controller-manager.conf --allocate-node-cidrs --cluster-cidr=$pod_network \
    --service-cluster-ip-range=$service_network --root-ca-file=$pki/ca.crt --service-account-private-key-file=$pki/sa.key --use-service-account-credentials
unit "$master" kube-scheduler simple kube-scheduler --kubeconfig=/etc/kubernetes/kube-scheduler.conf

# ---- Send each machine its files and start it: what answers first, and what asks once there is an answer (earlier it would retry ever more slowly).
start() {
    tar -C "$work/$1" -ch . | on "$1" tar -C / -x --no-same-owner
    # shellcheck disable=SC2016 # the machine's variables, not ours
    on "$1" 'sysctl -q --system; systemctl daemon-reload; cd /etc/systemd/system
        first=$(ls etcd.service kube-apiserver.service containerd.service 2>/dev/null); systemctl enable -q $first; systemctl start $first
        for image in '"'${ref[pause]} pause' '${ref[coredns]} coredns' '${ref[agnhost]} agnhost'"'; do ctr -n k8s.io images import --index-name ${image% *} /var/tmp/${image#* }.tar; done
        until curl --silent --fail --cacert '"$pki/ca.crt https://${address[$master]}:6443"'/readyz; do sleep 0.2; done
        rest=$(ls kube*.service flanneld.service); systemctl enable -q $rest; systemctl start $rest' >/dev/null 2>"$work/$1.log" || cat "$work/$1.log" >&2
}
started=()
for node in "${nodes[@]}"; do start "$node" & started+=($!); done
wait "${started[@]}"

# ---- What runs on top: flanneld's rights and CoreDNS, as our roles have them, and a web server to ask.
until_ok k get --raw=/readyz
{
    cat roles/addons/templates/etc/kubernetes/addons/flannel.yaml.j2
    echo ---
    sed -e 's/{{ addons_cluster_domain }}/cluster.local/; s/{{ addons_coredns_replicas }}/2/; s/{{ .*addons_node_count.* }}/2/' -e "s|{{ addons_coredns_image }}|${ref[coredns]}|; s/{{ addons_dns_address }}/$dns/" \
        -e "s|{{ addons_dns_upstreams .* }}|/etc/resolv.conf|" roles/addons/templates/etc/kubernetes/addons/coredns.yaml.j2
} | k apply --filename=- >/dev/null
until_ok k get serviceaccount default
k create deployment web --image="${ref[agnhost]}" --replicas=2 -- /agnhost netexec --http-port=80 >/dev/null
k expose deployment web --port=80 >/dev/null
until_ok k wait --for=condition=Ready --timeout=1s node "${nodes[@]}"
nodes_ready=$(date +%s%N)
until_ok k exec deployment/web -- /agnhost connect --timeout=1s web.default.svc.cluster.local:80
ended=$(date +%s%N)
seconds() { printf '%d.%d' $(($1 / 1000000000)) $(($1 / 100000000 % 10)); }
k get nodes >&2
echo "all nodes Ready after $(seconds $((nodes_ready - began))) s" >&2
seconds $((ended - began)) && echo
