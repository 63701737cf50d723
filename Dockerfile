# The daemon. docker-compose.yml runs it; by hand:
#   docker build -t hyperfeed . && docker run --rm hyperfeed --help
#
# A tag moves. To pin the image: docker buildx imagetools inspect node:24-slim, then
#   docker build --build-arg NODE_IMAGE=node:24-slim@sha256:... .
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Optional: Node 24 and PostgreSQL from npm, which `hyperfeed up` needs and an image has otherwise.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund \
  && npm cache clean --force

FROM ${NODE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production \
    HYPERFEED__HTTP__HOST=0.0.0.0 \
    HYPERFEED__HTTP__PORT=9464 \
    HYPERFEED__SPOOL__DIRECTORY=/var/lib/hyperfeed
# An empty volume that is mounted here takes the owner over.
RUN install --directory --mode=0700 --owner=node --group=node /var/lib/hyperfeed
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY bin bin
COPY config config
COPY src src
RUN node bin/fill-cache.js && node bin/hyperfeed.js --version
# `node` of the base image; a number, so that Kubernetes can see that it is not root.
USER 1000:1000
EXPOSE 9464
STOPSIGNAL SIGTERM
# /livez depends on no database and no exchange: a restart would repair neither.
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --start-interval=1s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.HYPERFEED__HTTP__PORT + '/livez').then(({ ok }) => process.exit(ok ? 0 : 1))"]
ENTRYPOINT ["node", "/app/bin/hyperfeed.js"]
CMD ["run"]
