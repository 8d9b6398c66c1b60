#!/usr/bin/env bash
# `make test`: what finds most comes first, what takes longest last.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/steps.sh
. scripts/steps.sh
STEPS_TOTAL=4
step "install what is missing" scripts/setup.sh
step "unit tests" pytest -q tests/unit
step "package" scripts/package.sh
step "the HA lab: a cluster from nothing, proved" scripts/site.sh lab
steps_report
