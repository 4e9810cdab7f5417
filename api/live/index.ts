/** `GET /v1/live`: a WebSocket when the client asks to upgrade, Server-Sent Events otherwise. */
import type { Log } from "../../pipeline/log.ts";
import type { World } from "../../pipeline/world.ts";
import { tokenIn } from "../access/access.ts";
import { refused, refusedMethod } from "../errors.ts";
import type { Socket, Transport } from "../transport.ts";
import { LIVE_OPERATION } from "./described.ts";
import { eventStream } from "./events.ts";
import type { LiveHub } from "./hub.ts";
import { SocketClient } from "./socket.ts";

export { type Followed, LiveHub, type LiveHubOptions, type LiveLimits } from "./hub.ts";

export function liveTransport(hub: LiveHub, world: Pick<World, "sleep" | "monotonic">, log: Log): Transport {
  const clientOf = (socket: Socket) => socket.data as SocketClient;
  return {
    path: "/v1/live",
    audience: "live",
    operation: LIVE_OPERATION,
    guard: (mayStay) => hub.guard(mayStay),
    async handle(request, server) {
      if (request.method !== "GET") throw refusedMethod("GET, OPTIONS");
      if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
        // An endless answer is not idle when nothing happens on the chain.
        server.timeout(request, 0);
        return eventStream(request, hub);
      }
      if (hub.connections >= hub.limits.connections) {
        throw refused("TOO_MANY_CONNECTIONS", "there is no room for another client");
      }
      if (server.upgrade(request, { data: new SocketClient({ hub, world, log, token: tokenIn(request.headers) }) }))
        return undefined;
      throw refused("BAD_REQUEST", "the request to upgrade to a WebSocket is not complete");
    },
    owns: (data) => data instanceof SocketClient,
    sockets: {
      open: (socket) => clientOf(socket).open(socket),
      message: (socket, message) => clientOf(socket).message(message),
      drain: (socket) => clientOf(socket).drain(),
      close: (socket) => clientOf(socket).close(),
    },
    stop: () => hub.stop(),
  };
}
