#!/usr/bin/env bash
# Copies into the chart what controller-gen generated, the CustomResourceDefinition and the operator's rules, and the admission policies.
# The chart's templates read the copies, so that config/ stays their only source. With --check nothing is written and a stale copy is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

check=${1:-}
copy() {
	if [[ ! -f $1 ]]; then
		echo "$1 is missing: generate it first" >&2
		exit 1
	fi
	if [[ $(grep -c '^kind:' "$1") != 1 ]]; then
		echo "$1 must hold one object, because the chart reads the first only" >&2
		exit 1
	fi
	if [[ $check == --check ]]; then
		cmp "$1" "$2" || { echo "$2 is stale: run hack/chart-crd.sh" >&2; exit 1; }
	else
		cp "$1" "$2"
	fi
}

for file in config/crd/bases/*.yaml; do
	copy "$file" "charts/wechat-endpoint/files/crds/${file##*_}"
done
copy config/rbac/role.yaml charts/wechat-endpoint/files/role.yaml
for file in config/admission/[!k]*.yaml; do
	copy "$file" "charts/wechat-endpoint/files/admission/${file##*/}"
done
