# A bundle of a few files on distroless Node: no shell, no package manager, uid 65532. It writes nothing, but for deferred
# deliveries where a route has `redeliver`, to a volume.
# Both base images are pinned by digest (an index of all platforms). A machine without access to these registries passes
# other images as build arguments.
ARG BUILD_IMAGE=docker.io/library/node:26.10.0-trixie-slim@sha256:930557a230abacbc3f4fd9b8648abf8f4bee1e17cb72195dcdfb2f709bc85b33
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs26-debian13:nonroot@sha256:2ee7b2c54a3e37dfc248af81c9f6bcdcaa50abe4af44aa47a3388431031b9283

# The bundle is the same for every platform, so it is built once, on the builder's own platform.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /app
ENV NPM_CONFIG_UPDATE_NOTIFIER=false
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY package.json LICENSE /image/app/
COPY scripts scripts
COPY src src
COPY docs/commands.md docs/alerts.md docs/
COPY examples/events examples/events
# No install script of a package runs: esbuild's binary is a package of its own. Licences and SBOM list what esbuild put into the
# bundle. The shebang names distroless' node, for `docker exec`.
RUN node scripts/build.ts \
 && node scripts/bundle-licences.ts dist/THIRD-PARTY-LICENSES.txt \
 && node scripts/bundle-sbom.ts dist/sbom.cdx.json \
 && mkdir -p /image/app/dist /image/usr/local/bin /state/entrupy-signature-proxy \
 && chmod 0770 /state/entrupy-signature-proxy \
 && cp dist/* /image/app/dist/ \
 && sed -i '1s|^#!.*|#!/nodejs/bin/node|' /image/app/dist/main.js \
 && ln -s /app/dist/main.js /image/usr/local/bin/entrupy-signature-proxy

# From here on only COPY: nothing of the target platform runs.
FROM ${RUNTIME_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
ARG RUNTIME_IMAGE
LABEL org.opencontainers.image.title="entrupy-signature-proxy" \
      org.opencontainers.image.description="A small reverse proxy that verifies Entrupy webhook signatures in front of any upstream" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${RUNTIME_IMAGE}"
COPY --from=build /image/ /
# A volume that is mounted here gets this owner. Group 0: OpenShift runs the image with another uid and this group.
COPY --from=build --chown=65532:0 /state/ /var/lib/
# A small young generation halves the peak of memory under 16 KiB bodies. The heap limit must stay below the container's
# memory.
# The MALLOC_* variables make glibc return freed large bodies to the system: a flood of 1 MiB bodies peaks at 107 MB, not
# 128.
ENV NODE_ENV=production \
    NODE_OPTIONS="--max-old-space-size-percentage=50 --max-semi-space-size=2" \
    MALLOC_ARENA_MAX=1 \
    MALLOC_MMAP_THRESHOLD_=131072 \
    MALLOC_TRIM_THRESHOLD_=131072
WORKDIR /app
USER 65532:65532
EXPOSE 8080 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s --retries=3 \
  CMD ["/nodejs/bin/node", "/app/dist/main.js", "healthcheck"]
# Compilers' memory is given back at once: in the background it piles up, and 9 MiB stay after the first load. The heap is
# collected when it has doubled: V8 alone waits for 53 MiB of it, of which 20 are garbage. NODE_OPTIONS takes neither flag.
ENTRYPOINT ["/nodejs/bin/node", "--no-maglev-destroy-on-background", "--heap-growing-percent=100", "/app/dist/main.js"]
