#!/usr/bin/env bash
# Checks what the chart and the kustomize bases render against the schemas of the Kubernetes version that the tests run on,
# strictly: an unknown field is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

helm=$(tools/install helm)
kubeconform=$(tools/install kubeconform)
kubernetes=$(cd test/cluster/parts && go mod download k8s.io/kubernetes && go list -m -f '{{.Dir}}' k8s.io/kubernetes)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

go run ./hack/schemas -openapi "$kubernetes/api/openapi-spec/swagger.json" -out "$work/schemas" config/crd/bases/*.yaml
go build -o "$work/policy" ./hack/policy
# The kinds of the Prometheus operator are not Kubernetes' own.
check() { # name, files; none reads standard input
  echo "schema check: $1" >&2
  "$kubeconform" -strict -summary -skip ServiceMonitor,PodMonitor,PrometheusRule -schema-location "$work/schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "${@:2}"
}
for values in charts/testdata/values/*.yaml; do
  "$helm" template charts/wechat-endpoint --namespace wechat --values "$values" >"$work/rendered.yaml"
  check "the chart with $values" "$work/rendered.yaml"
  if grep -q '^kind: ValidatingAdmissionPolicy$' "$work/rendered.yaml"; then
    echo "schema check: the admission policies know the choices that the operator has" >&2
    "$work/policy" -compare <"$work/rendered.yaml"
  fi
done
narrow=("$helm" template charts/wechat-endpoint --skip-tests --namespace wechat --set 'watchNamespaces={team-a,team-b}' --set crds.enabled=false)
if "${narrow[@]}" | grep '^kind:' | grep -Ev '^kind: (ConfigMap|Deployment|Lease|Role|RoleBinding|ServiceAccount)$' >&2; then
  echo "schema check: the chart for some namespaces has objects of another kind, which may be the whole cluster's" >&2
  exit 1
fi
check "the kustomize bases" config/{manager,rbac,admission}/[!k]*.yaml config/crd/bases/*.yaml
check "the samples" config/samples/[!k]*.yaml config/samples/gitops/base/endpoint.yaml
if printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicass: 1}\n' | check "a typing mistake" >/dev/null; then
  echo "schema check: a typing mistake was not found" >&2
  exit 1
fi
