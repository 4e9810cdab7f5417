/** Posts JSON to an address that the operator has set: one attempt, limited in time, never following it elsewhere. */
import { Fatal, Transient } from "./errors.ts";

const TIMEOUT_MS = 5_000;

export class Webhook {
  /** What may be shown of the address: its path and query may be credentials. */
  readonly origin: string;
  private readonly url: URL;
  private readonly headers: Readonly<Record<string, string>>;

  /** `url`: http(s), with or without user and password. `token`: sent as bearer; empty for none. */
  constructor(url: string, token = "") {
    this.url = new URL(url);
    const { username, password } = this.url;
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    const basic = username === "" && password === "" ? null : `Basic ${Buffer.from(user).toString("base64")}`;
    this.url.username = "";
    this.url.password = "";
    const authorization = token === "" ? basic : `Bearer ${token}`;
    this.headers = { "content-type": "application/json", ...(authorization === null ? {} : { authorization }) };
    this.origin = this.url.origin;
  }

  /** Resolves when it was taken. Throws `Transient` or, where trying again is in vain, `Fatal` ALARM_WEBHOOK. */
  async post(body: unknown, signal?: AbortSignal): Promise<void> {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    let response: Response;
    try {
      response = await fetch(this.url, {
        method: "POST",
        headers: this.headers,
        body: JSON.stringify(body),
        redirect: "manual",
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      });
    } catch {
      // The runtime's own message may repeat the address.
      const reason = limit.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : "no connection";
      throw new Transient("ALARM_WEBHOOK", reason, { where: this.origin });
    }
    await response.body?.cancel();
    if (response.ok) return;
    const { status } = response;
    if (status === 408 || status === 429 || status >= 500) {
      throw new Transient("ALARM_WEBHOOK", `answered with status ${status}`, { where: this.origin });
    }
    throw new Fatal("ALARM_WEBHOOK", `answered with status ${status}`, {
      where: this.origin,
      hint: "Check alarm.webhook and alarm.webhookToken; redirects are not followed.",
    });
  }
}
