/** Contender: the live feed, from decoding the stream's messages to the sockets, each client following all trades. */
import { LiveHub, liveTransport } from "../../api/live/index.ts";
import { socketHandlers } from "../../api/transport.ts";
import { systemWorld } from "../../pipeline/world.ts";
import { feedOf, steps } from "./blocks.ts";
import { measure } from "./measure.ts";

const silent = () => undefined;
const told = steps();
const start = Promise.withResolvers<void>();
const feed = feedOf(told, async () => {
  await start.promise;
  while (hub.waitingMost > 0) await Bun.sleep(1);
});
const hub = new LiveHub({
  feed,
  eventTypes: new Set(),
  world: systemWorld,
  log: silent,
  limits: { heartbeatMs: 3_600_000 },
});
const transport = liveTransport(hub, systemWorld, silent);
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => transport.handle(request, server),
  websocket: socketHandlers([transport]),
});
hub.start();
await measure({ port: server.port!, path: "/v1/live", send: async () => start.resolve() });
