# Sluice in one image: every command, the embedded nats-server included. Runs as a user without rights, on a root that may be
# read-only: everything it keeps is under /data.
#
#   docker build -t sluice .
#   docker run --rm --env-file .env.substreams -v sluice:/data --read-only --tmpfs /tmp sluice doctor

FROM oven/bun:1.4.5-debian AS install
WORKDIR /app
COPY package.json bun.lock ./
# Peers are compilers and types, which nothing needs that runs.
RUN bun install --frozen-lockfile --production --omit=peer --ignore-scripts

FROM oven/bun:1.4.5-slim
LABEL org.opencontainers.image.title="sluice" \
      org.opencontainers.image.description="Solana blocks from Substreams to a live token API and a verifiable Parquet lake" \
      org.opencontainers.image.licenses="Apache-2.0"
# The second: Bun would keep compiled files beside the sources, which are read-only.
ENV SLUICE_DATA=/data \
    BUN_RUNTIME_TRANSPILER_CACHE_PATH=0 \
    NODE_ENV=production
WORKDIR /app
COPY --from=install /app/node_modules ./node_modules
COPY package.json main.ts ./
COPY docs/errors.md ./docs/
COPY api ./api
COPY cli ./cli
COPY pipeline ./pipeline
COPY simulator ./simulator
COPY stages ./stages
COPY storage ./storage
RUN mkdir -p /data /etc/sluice && chown 1000:1000 /data
USER 1000:1000
VOLUME /data
EXPOSE 8787
# Where sluice.yaml is looked for, with the packages and IDLs that it names.
WORKDIR /etc/sluice
ENTRYPOINT ["bun", "--smol", "/app/main.ts"]
CMD ["stages"]
