# The only entry points. Each installs what it needs and can be repeated.
SHELL := /bin/bash
LAB ?= lab
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Downloads and builds are shared by all checkouts of this machine.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
INVENTORY := inventories/$(LAB)

.DEFAULT_GOAL := help
.PHONY: help setup site verify test test-upgrade test-faults test-scale test-backup test-drill test-logs test-outside test-storage test-why test-rotate lint unit package molecule lab lab-destroy bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  LAB=lab (m1 m2 m3 w1 w2 o1), LAB=lab-small (m1 w1 w2 o1) or LAB=lab-storage (m1 w1 w2 o1 s1 s2 s3)"

setup: ## install what the lab and the tests need: packages, dockerd, .venv
	@scripts/setup.sh

site: ## a cluster in the lab, from nothing or from whatever is there, proved, and what to do next
	@scripts/site.sh $(LAB)

verify: setup ## prove the lab's cluster again
	@ansible-playbook -i $(INVENTORY) playbooks/verify.yml

test: ## all that has to pass before a change lands: lint, unit tests, package, scenarios; destroys a lab that is there
	@scripts/test.sh

lint: setup ## ansible-lint, yamllint, ruff, mypy, shellcheck
	@scripts/lint.sh

unit: setup ## unit tests of plugins and rules of the repository
	@pytest -q -n 2 --dist loadfile tests/unit

package: setup ## build the collection, install it elsewhere, import it as Galaxy would
	@scripts/package.sh

molecule: setup ## the scenarios: SCENARIO=default (the HA lab; destroys a lab that is there) or component
	@molecule test --scenario-name $(or $(SCENARIO),default)

test-upgrade: setup ## the scenario upgrade: from the older minor version under load, then with interruptions (compiles that version first)
	@ansible-playbook -i $(INVENTORY) playbooks/artifacts.yml -e cluster_kubernetes_version=1.36.3
	@molecule test --scenario-name upgrade

test-why: setup ## 95 faults and 21 healthy workloads on a control plane of this machine's loopback, then the scenario why: faults in the lab; figures go to .lab/why.json
	@ansible-playbook -i $(INVENTORY) playbooks/artifacts.yml
	@pytest -q -p no:cacheprovider tests/why
	@molecule test --scenario-name why

test-drill: setup ## backups, and drills with them, of a control plane of this machine's loopback, without a lab
	@ansible-playbook -i $(INVENTORY) playbooks/artifacts.yml
	@pytest -q -rP -p no:cacheprovider tests/drill

test-logs: setup ## what vlagent reads from containers' files, on this machine's loopback, without a lab
	@ansible-playbook -i $(INVENTORY) playbooks/artifacts.yml
	@pytest -q -p no:cacheprovider tests/logs

test-faults: setup ## the scenario faults: everything that can break is broken, under load; figures go to .lab/faults.json
	@molecule test --scenario-name faults

test-rotate: setup ## the scenario rotate: every certificate, CA and key is replaced under load, also with interruptions; figures go to .lab/rotate.json
	@molecule test --scenario-name rotate

test-outside: setup ## the scenario outside: every query of every dashboard, and the status page while masters are away
	@molecule test --scenario-name outside

test-storage: setup ## the scenario storage: classes of volumes by their acceptance suite, faults under a writer; figures go to .lab/storage*.json
	@ansible-playbook -i inventories/lab-storage playbooks/artifacts.yml
	@molecule test --scenario-name storage

test-scale: setup ## the scenario scale: hosts come, go, are lost and replaced, under load; figures go to .lab/scale.json
	@molecule test --scenario-name scale

test-backup: setup ## the scenario backup: the cluster goes back to a backup, drills, and everything that can be wrong with one; figures go to .lab/backup.json
	@molecule test --scenario-name backup

lab: setup ## only the lab's machines; what an earlier run left is used or made anew, the machines of another LAB are refused
	@ansible-playbook -i $(INVENTORY) playbooks/lab_create.yml

lab-destroy: setup ## remove the lab's machines, networks and the certificates of their cluster
	@ansible-playbook playbooks/lab_destroy.yml

bench: setup ## how long a site run takes and how many task-runs it has, beside a plain bash installation; destroys a lab that is there
	@scripts/bench.sh

clean: ## remove what make made in this folder; the artifact cache and docker images stay
	@if docker info >/dev/null 2>&1 && [ -x .venv/bin/ansible-playbook ]; then ansible-playbook playbooks/lab_destroy.yml; fi
	@rm -rf .lab .venv .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis selfhosted-kubernetes-*.tar.gz
