/**
 * The load: so many connections, each asking again as soon as it was answered, over plain sockets; the client must not be
 * what limits the server. Usage: load.ts PORT PATH CONNECTIONS SECONDS. Prints answers per second and the body's digest.
 */

export {};

const [port, path, connections, seconds] = process.argv.slice(2) as [string, string, string, string];
const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\n\r\n`;
const WARM_UP_MS = 500;

let answers = 0;
let body: Buffer | null = null;
let failure: string | null = null;

/** Reads whole answers off a connection; `ask` is called after each. */
function reader(ask: () => void): (chunk: Buffer) => void {
  let pending: Buffer = Buffer.alloc(0);
  let expected = -1;
  return (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    if (expected < 0) {
      const end = pending.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = pending.toString("latin1", 0, end);
      const length = /\r\ncontent-length: (\d+)/i.exec(head);
      if (!head.startsWith("HTTP/1.1 200 ") || length === null) failure = head;
      expected = end + 4 + Number(length?.[1] ?? 0);
    }
    if (pending.length < expected) return;
    body ??= Buffer.from(pending.subarray(pending.indexOf("\r\n\r\n") + 4, expected));
    pending = Buffer.alloc(0);
    expected = -1;
    answers++;
    ask();
  };
}

for (let n = 0; n < Number(connections); n++) {
  let read: ((chunk: Buffer) => void) | undefined;
  await Bun.connect({
    hostname: "127.0.0.1",
    port: Number(port),
    socket: {
      open(socket) {
        const ask = () => void socket.write(request);
        read = reader(ask);
        ask();
      },
      data: (_socket, chunk) => read!(Buffer.from(chunk)),
    },
  });
}
await Bun.sleep(WARM_UP_MS);
const before = answers;
const started = performance.now();
await Bun.sleep(Number(seconds) * 1_000);
const perSecond = ((answers - before) * 1_000) / (performance.now() - started);
if (failure !== null) throw new Error(`the server answered ${failure}`);
const digest = new Bun.CryptoHasher("sha256").update(body ?? "").digest("hex");
console.log(JSON.stringify({ perSecond, digest }));
process.exit(0);
