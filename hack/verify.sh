#!/usr/bin/env bash
# Fails if a generated file is not what its generator writes today, if go.mod is not tidy, or if a program was committed. It works on a
# copy, so that it changes nothing in the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -cf - -T - 2>/dev/null | tar -xf - -C "$copy"

(cd "$copy" && make generate manifests >/dev/null && go mod tidy)

stale=0
for path in api controllers/internal/gatewayapi config charts docs/api.md go.mod go.sum; do
  diff -ru "$path" "$copy/$path" || stale=1
done
unformatted=$(git ls-files '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
  echo "not formatted: $unformatted" >&2
  stale=1
fi
large=$(git ls-files -z | xargs -0 sh -c 'find "$@" -maxdepth 0 -size +1024k' find)
if [ -n "$large" ]; then
  echo "verify: larger than 1 MiB, as no source is: $large; run: git rm --cached $large" >&2
  exit 1
fi
if [ "$stale" != 0 ]; then
  echo "verify: stale files; run: make generate manifests && go mod tidy && gofmt -w ." >&2
  exit 1
fi
echo "verify: nothing stale"
