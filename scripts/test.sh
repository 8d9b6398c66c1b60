#!/usr/bin/env bash
# `make test`: what finds most comes first, what takes longest last.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
STEPS_TOTAL=8
# What failed stands last, where CI shows it.
rm -f .lab/tests.log
trap '[ $? = 0 ] || grep -hE "^(E|FAILED|ERROR) " .lab/tests.log 2>/dev/null || true' EXIT
step "install what is missing" scripts/setup.sh
step "lint" scripts/lint.sh
step "unit tests" pytest -q -n 2 --dist loadfile tests/unit
step "have every binary and image" ansible-playbook -i inventories/lab playbooks/artifacts.yml
step "package: built, installed elsewhere, used from there" scripts/package.sh
step "have the machines' image" scripts/node_image.sh
step "scenario component: the mechanism on a toy service" molecule test --scenario-name component
step "scenario default: an HA cluster from nothing, an unchanged re-run, tests against it" molecule test --scenario-name default
steps_report
