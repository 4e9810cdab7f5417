/** A real server on loopback over a fake backend with fixed reports, for tests of whole answers. */
import { silentLog } from "../pipeline/log.ts";
import { FakeBackend } from "./fixture.ts";
import { type RunningApi, startApi } from "./server.ts";

export interface Told {
  readonly status: number;
  readonly body: unknown;
}

export class Served {
  readonly backend: FakeBackend;
  private readonly api: RunningApi;

  private constructor(backend: FakeBackend, api: RunningApi) {
    this.backend = backend;
    this.api = api;
  }

  static async start(): Promise<Served> {
    const backend = new FakeBackend();
    // Time passes when it is looked at, so that no test waits.
    const world = { now: () => (backend.now += 1), sleep: async (ms: number) => void (backend.now += ms) };
    const about = { host: "127.0.0.1", port: 0, log: silentLog, version: "0.1.0" };
    return new Served(backend, await startApi({ ...about, backend, world }));
  }

  get url(): string {
    return this.api.url;
  }

  stop(): Promise<void> {
    return this.api.stop();
  }

  readonly get = (path: string): Promise<Told> => this.call("GET", path);
  readonly post = (path: string): Promise<Told> => this.call("POST", path);

  private async call(method: "GET" | "POST", path: string): Promise<Told> {
    const response = await fetch(this.url + path, { method });
    return { status: response.status, body: await response.json() };
  }
}
