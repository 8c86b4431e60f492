#!/usr/bin/env bash
# Checks what the chart and the kustomize bases render against the schemas of the Kubernetes version that the tests run on,
# strictly: an unknown field is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

helm=$(tools/install helm)
kubeconform=$(tools/install kubeconform)
kubernetes=$(cd test/cluster/parts/kubernetes && go mod download k8s.io/kubernetes && go list -m -f '{{.Dir}}' k8s.io/kubernetes)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

go run ./hack/schemas -openapi "$kubernetes/api/openapi-spec/swagger.json" -out "$work/schemas" config/crd/bases/*.yaml
check() { # name, files; none reads standard input
  echo "schema check: $1" >&2
  "$kubeconform" -strict -summary -schema-location "$work/schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "${@:2}"
}
"$helm" template charts/wechat-endpoint | check "the chart"
"$helm" template charts/wechat-endpoint --set replicaCount=2,metrics.service.enabled=true,allowEmptyHost=true --set-json 'hosts={"wx.example.com":["team-a"],"*":["*"]}' | check "the chart with more values"
"$helm" template charts/wechat-endpoint --set admissionPolicy.compareSpecs=false | check "the chart with one admission policy"
echo "schema check: the admission policies know the choices that the operator has" >&2
"$helm" template charts/wechat-endpoint | go run ./hack/policy -compare
"$helm" template charts/wechat-endpoint --set-json 'hosts={"wx.example.com":["team-a"],"*":["*"]}' --set-json 'sidecar.defaults={"nodeSelector":{"a":"it'"'"'s \"<so>\" \\ 微信"},"tolerations":[{"operator":"Exists","tolerationSeconds":3000000}],"resources":{"requests":{"cpu":0.5}}}' | go run ./hack/policy -compare
narrow=("$helm" template charts/wechat-endpoint --namespace wechat --set 'watchNamespaces={team-a,team-b}')
"${narrow[@]}" | check "the chart for some namespaces"
if "${narrow[@]}" --set crds.install=false | grep '^kind:' | grep -Ev '^kind: (ConfigMap|Deployment|Lease|Role|RoleBinding|ServiceAccount)$' >&2; then
  echo "schema check: the chart for some namespaces has objects of another kind, which may be the whole cluster's" >&2
  exit 1
fi
"$helm" template charts/wechat-endpoint --set metrics.service.enabled=true,metrics.certSecretName=operator-metrics | check "the chart with its own certificate"
"$helm" template charts/wechat-endpoint --set metrics.service.enabled=true,metrics.secure=false | check "the chart with plain metrics"
if "${narrow[@]}" --set metrics.service.enabled=true >/dev/null 2>&1; then
  echo "schema check: a Service for metrics that only the pod itself reaches was not refused" >&2
  exit 1
fi
echo "schema check: images have the tag and the digest that are set, and else the chart's version" >&2
digest=sha256:$(printf 'a%.0s' {1..64})
while read -r tag pinned want; do
  for image in operator sidecar; do
    rendered=$("$helm" template charts/wechat-endpoint --set "$image.image.repository=a.b/c" \
      --set-string "$image.image.tag=${tag#none},$image.image.digest=${pinned#none}" | tr -d '"')
    if ! grep -E "(image|sidecarImage): a\.b/c$want\$" >/dev/null <<<"$rendered"; then
      echo "schema check: the image of the $image with tag $tag and digest $pinned does not end with $want" >&2
      exit 1
    fi
  done
done <<END
none none :$(sed -n 's/^appVersion: //p' charts/wechat-endpoint/Chart.yaml)
9 none :9
none $digest @$digest
9 $digest :9@$digest
END
check "the kustomize bases" config/{manager,rbac,admission}/[!k]*.yaml config/crd/bases/*.yaml
check "the samples" config/samples/[!k]*.yaml
if printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicass: 1}\n' | check "a typing mistake" >/dev/null; then
  echo "schema check: a typing mistake was not found" >&2
  exit 1
fi
