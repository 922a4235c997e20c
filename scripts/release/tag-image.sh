#!/usr/bin/env bash
# Adds names to an existing image, with all its platforms: tag-image.sh REGISTRY/NAME@sha256:… REGISTRY/NAME:TAG...
# SKOPEO_OPTIONS: options for `skopeo copy`, such as --src-tls-verify=false.
set -euo pipefail
[ $# -gt 1 ] || { echo 'Usage: tag-image.sh REGISTRY/NAME@sha256:… REGISTRY/NAME:TAG...' >&2; exit 2; }
source=$1
shift
read -r -a options <<<"${SKOPEO_OPTIONS:-}"
for target in "$@"; do
  skopeo copy --all --preserve-digests --quiet ${options[@]+"${options[@]}"} "docker://$source" "docker://$target"
  echo "$target"
done
