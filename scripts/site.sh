#!/usr/bin/env bash
# `make site`: from a machine with nothing on it to a proved cluster. Repeating it is safe and quick.
set -euo pipefail
cd "$(dirname "$0")/.."
lab=$1
inventory=inventories/$lab
[ -d "$inventory" ] || { echo "LAB=$lab: there is no $inventory; there are: $(cd inventories && echo *)"; exit 2; }
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
STEPS_TOTAL=6

kubectl_copy() { # the kubectl of this cluster's version, as a master has it; kubectl why beside it
    mkdir -p .lab/bin
    ln -sfn ../kubectl-why .lab/bin/kubectl-why
    docker cp m1:/usr/local/bin/kubectl .lab/bin/kubectl >/dev/null
}

step "install what is missing" scripts/setup.sh
step "have every binary and image" ansible-playbook -i "$inventory" playbooks/artifacts.yml
step "have the machines' image" scripts/node_image.sh
step "create the lab's machines" ansible-playbook -i "$inventory" playbooks/lab_create.yml
step "run playbooks/site.yml" ansible-playbook -i "$inventory" playbooks/site.yml
kubectl_copy
step "prove the cluster" ansible-playbook -i "$inventory" playbooks/verify.yml
steps_report

cat <<TEXT

The cluster is up. What next:
  export KUBECONFIG=$PWD/.lab/kubeconfig PATH=$PWD/.lab/bin:\$PATH
  kubectl get nodes -o wide
  kubectl why                                          # everything that is not well; kubectl why NAMESPACE/POD
  ssh -i .lab/id_ed25519 -o UserKnownHostsFile=.lab/known_hosts root@ADDRESS     # any of the machines:
$(ansible-inventory -i "$inventory" --list 2>/dev/null | python3 -c 'import json, sys
for name, host in sorted(json.load(sys.stdin)["_meta"]["hostvars"].items()): print("    ", name, host["ansible_host"])')
  make lab-destroy                                     # when you are done
TEXT
