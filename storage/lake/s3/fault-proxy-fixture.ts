/** A proxy in front of an S3 service that breaks what passes through it as told, over real connections. For tests. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errorBody } from "./server-fixture.ts";

export const FAULTS = [
  "500",
  "503",
  "timeout-before",
  "timeout-after",
  "reset-before",
  "reset-after",
  "200-with-error",
  "damaged-request",
  "damaged-answer",
  "cut-answer",
  "slow",
  "expired",
] as const;
export type Fault = (typeof FAULTS)[number];

export type FaultRule = (method: string, path: string) => Fault | null;

const SLOW_MS = 40;

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

export class FaultProxy {
  /** Decides for each request. */
  rule: FaultRule = () => null;
  /** Faults that really happened. */
  readonly done = new Map<Fault, number>();
  private readonly target: URL;
  private readonly server: Server;

  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await new Promise<void>((resolve) => proxy.server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  private constructor(target: string) {
    this.target = new URL(target);
    this.server = createServer((incoming, outgoing) => {
      this.pass(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await collect(incoming);
    const fault = this.rule(incoming.method ?? "", incoming.url ?? "");
    if (fault !== null) this.done.set(fault, (this.done.get(fault) ?? 0) + 1);
    switch (fault) {
      case "500":
        return reply(outgoing, 500, "InternalError");
      case "503":
        return reply(outgoing, 503, "SlowDown");
      case "200-with-error":
        return reply(outgoing, 200, "InternalError");
      case "expired":
        return reply(outgoing, 400, "ExpiredToken");
      case "timeout-before":
        return;
      case "reset-before":
        incoming.socket.destroy();
        return;
      case "slow":
        await Bun.sleep(SLOW_MS);
    }
    const answer = await this.forward(incoming, fault === "damaged-request" ? damaged(body) : body);
    if (fault === "timeout-after") return;
    if (fault === "reset-after") {
      incoming.socket.destroy();
      return;
    }
    outgoing.writeHead(answer.status, { ...answer.headers });
    if (fault === "cut-answer" && answer.body.length > 0) {
      outgoing.write(answer.body.subarray(0, answer.body.length / 2));
      setTimeout(() => incoming.socket.destroy(), 5);
      return;
    }
    outgoing.end(fault === "damaged-answer" ? damaged(answer.body) : answer.body);
  }

  private forward({ method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const { hostname, port } = this.target;
      const sent = request({ hostname, port, method: method ?? "GET", path: url, headers }, (response) => {
        collect(response).then((content) => {
          resolve({ status: response.statusCode ?? 502, headers: response.headers, body: content });
        }, reject);
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }
}

function reply(outgoing: ServerResponse, status: number, code: string): void {
  outgoing.writeHead(status, { "content-type": "application/xml" });
  outgoing.end(errorBody(code));
}

async function collect(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function damaged(body: Buffer): Buffer {
  const copy = Buffer.from(body);
  if (copy.length > 0) copy[copy.length >> 1]! ^= 1;
  return copy;
}
