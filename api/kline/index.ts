/** `/socket.io/` as a transport of the server, and the routes that tell who is connected. */
import { refused } from "../errors.ts";
import type { Transport } from "../transport.ts";
import type { KlineService } from "./service.ts";

export { klineStatusRoutes } from "./routes.ts";
export { type KlineOptions, KlineService } from "./service.ts";

export function klineTransport(service: KlineService): Transport {
  const { engine } = service;
  type EngineSocket = Parameters<typeof engine.onWebSocketOpen>[0];
  return {
    path: "/socket.io/",
    audience: "live",
    guard: (mayStay) => service.guard(mayStay),
    async handle(request, server) {
      if (!["GET", "POST", "OPTIONS"].includes(request.method)) {
        throw refused("METHOD_NOT_ALLOWED", "Socket.IO uses GET and POST");
      }
      // A poll waits for news for as long as the client's next ping.
      server.timeout(request, 0);
      return engine.handleRequest(request, server as Parameters<typeof engine.handleRequest>[1]);
    },
    owns: (data) => typeof data === "object" && data !== null && "transport" in data,
    sockets: {
      open: (socket) => engine.onWebSocketOpen(socket as unknown as EngineSocket),
      message: (socket, message) => engine.onWebSocketMessage(socket as unknown as EngineSocket, message),
      close: (socket, code, reason) => engine.onWebSocketClose(socket as unknown as EngineSocket, code, reason),
    },
    stop: () => service.stop(),
  };
}
