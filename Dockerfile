# docker build -t callgate .
#
# Media goes to the address that CALLGATE_ANNOUNCED_ADDRESS names, on the ports of CALLGATE_RTC_PORTS. Candidates carry
# the port that the worker bound, so publish that range 1:1, for UDP and TCP, or use --network host. docker-compose.yml
# shows both.

FROM node:24-bookworm-slim AS base
WORKDIR /app

# Dependencies without the development ones. .npmrc keeps their install scripts from running.
FROM base AS production
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

# The worker first: it changes only with mediasoup's version. It is downloaded and tested with a call; where no prebuilt
# one fits, the same step installs a compiler and builds it.
FROM base AS build
COPY package.json package-lock.json .npmrc ./
COPY scripts scripts
RUN node scripts/run.mjs --worker -e 0 \
 && cp --dereference node_modules/mediasoup/worker/out/Release/mediasoup-worker /mediasoup-worker
COPY . .
RUN npm run build

FROM base
ENV NODE_ENV=production MEDIASOUP_WORKER_BIN=/usr/local/bin/mediasoup-worker
COPY --from=build /mediasoup-worker /usr/local/bin/
# Without its channel the worker exits with 41 (its main.cpp). Anything else means that it cannot run in this image, as
# one that was built above without the libraries it was linked with: install libsrtp2-1 and libuv1 here then.
RUN mediasoup-worker; test $? -eq 41
COPY --from=production /app/node_modules node_modules
COPY --from=build /app/dist/callgate ./
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 8080}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "bin/callgate.js", "serve"]
