/** Contender: bare `Bun.serve` with `publish` to one topic; the same messages, made beforehand. */
import { HeldStep } from "../../api/live/window.ts";
import { steps, textsOf } from "./blocks.ts";
import { measure } from "./measure.ts";

const blocks = steps().map((step) => textsOf(new HeldStep(step)));
const sockets = new Set<Bun.ServerWebSocket<undefined>>();
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null, { status: 400 })),
  websocket: {
    open(socket) {
      sockets.add(socket);
      socket.subscribe("trades");
      socket.send("{}");
    },
    message: () => undefined,
    perMessageDeflate: false,
  },
});

async function send(): Promise<void> {
  for (const texts of blocks) {
    while ([...sockets].some((socket) => socket.getBufferedAmount() > 0)) await Bun.sleep(1);
    for (const text of texts) server.publish("trades", text);
  }
}

await measure({ port: server.port!, send });
