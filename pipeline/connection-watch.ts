/**
 * Ends waiting when the connection breaks. The client goes on waiting for an answer that can no longer come, up to the
 * request's time limit; whoever asks again after a reconnect is served at once.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { Transient } from "./errors.ts";

export class ConnectionWatch {
  private readonly waiting = new Set<(error: Transient) => void>();

  constructor(connection: Pick<NatsConnection, "status">) {
    void this.watch(connection);
  }

  /** As `request`, but rejects when the connection breaks first: then its outcome is unknown. */
  async whileConnected<T>(request: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    this.waiting.add(reject);
    try {
      return await Promise.race([request, promise]);
    } finally {
      this.waiting.delete(reject);
    }
  }

  private async watch(connection: Pick<NatsConnection, "status">): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type !== "disconnect") continue;
      const error = new Transient("NATS_DISCONNECTED", "the connection to the NATS server broke before it answered");
      for (const reject of this.waiting) reject(error);
    }
  }
}
