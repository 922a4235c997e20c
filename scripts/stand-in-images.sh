#!/usr/bin/env bash
# Builds stand-ins for the Dockerfile's two base images from Debian packages, for machines without access to a container
# registry: localhost/node:26-trixie-slim (shell, node, npm) and localhost/distroless/nodejs26-debian13:nonroot (node
# and its libraries, no shell). Only for tests: they must never be pushed or shipped.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
node=${NODE_BINARY:-$root/node_modules/node/bin/node}
npm=${NPM_DIRECTORY:-$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -x "$node" ] || { echo "no node at $node: set NODE_BINARY" >&2; exit 1; }
[ -d "$npm" ] || { echo "no npm at $npm: set NPM_DIRECTORY" >&2; exit 1; }

# The packages of distroless' nodejs image, and libatomic1, which Node 26 needs in addition.
runtime=(base-files netbase tzdata ca-certificates media-types libc6 libgcc-s1 libstdc++6 libatomic1 gcc-14-base)
shell=(dash coreutils sed libacl1 libattr1 libselinux1 libpcre2-8-0 libgmp10 libssl3t64 libcap2 zlib1g libzstd1)

mkdir "$work/debs"
(cd "$work/debs" && apt-get -o APT::Sandbox::User=root download "${runtime[@]}" "${shell[@]}" >/dev/null)

# unpack ROOT PACKAGE...: the files of these packages, without those that a container does not need.
unpack() {
  local target=$1 name
  shift
  mkdir -p "$target"
  # Merged /usr comes first, or a package's /lib would become a separate directory.
  for name in bin sbin lib lib64; do
    mkdir -p "$target/usr/$name"
    ln -s "usr/$name" "$target/$name"
  done
  for name in "$@"; do
    dpkg-deb --fsys-tarfile "$work"/debs/"$name"_*.deb | tar -x -C "$target" --keep-directory-symlink
  done
  rm -rf "$target"/usr/share/{doc,man,locale,lintian,bug,info}
  mkdir -p "$target/etc/ssl/certs" "$target/home/nonroot" "$target/tmp"
  chmod 1777 "$target/tmp"
  cp -L /etc/ssl/certs/ca-certificates.crt "$target/etc/ssl/certs/"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' >"$target/etc/passwd"
  printf 'root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n' >"$target/etc/group"
  chown -R 65532:65532 "$target/home/nonroot"
}

# commit NAME ROOT [buildah config option...]: an image of one layer.
commit() {
  local name=$1 tree=$2 container
  shift 2
  container=$(buildah from --ulimit nofile=20000:20000 --ulimit nproc=90000:90000 scratch)
  buildah add --quiet "$container" "$tree" / >/dev/null
  buildah config "$@" "$container"
  buildah commit --quiet --rm "$container" "$name" >/dev/null
  echo "$name"
}

unpack "$work/runtime" "${runtime[@]}"
install -D "$node" "$work/runtime/nodejs/bin/node"
commit localhost/distroless/nodejs26-debian13:nonroot "$work/runtime" \
  --user 65532 --workingdir /home/nonroot --entrypoint '["/nodejs/bin/node"]' \
  --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

unpack "$work/build" "${runtime[@]}" "${shell[@]}"
[ -e "$work/build/bin/sh" ] || ln -s dash "$work/build/bin/sh"
install -D "$node" "$work/build/usr/local/bin/node"
mkdir -p "$work/build/usr/local/lib/node_modules"
cp -a "$npm" "$work/build/usr/local/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/build/usr/local/bin/npm"
# The registry may use a private CA: node must trust the CAs that this machine trusts.
commit localhost/node:26-trixie-slim "$work/build" \
  --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
