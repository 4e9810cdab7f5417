/** Addresses as people write them, credentials included: what to connect with, and what may be shown. */

export interface NatsAddress {
  /** Servers without credentials. */
  readonly servers: readonly string[];
  /** Of the first server that names some; "user:password@", or a token alone before the @. */
  readonly token?: string;
  readonly user?: string;
  readonly password?: string;
}

/** Everything up to the last @ of the authority: passwords may hold an @ or a slash that nobody has escaped. */
const USER_INFO = /^([a-z][a-z0-9+.-]*:\/\/)?(.*)@/i;

/** Reads one NATS server or several, separated by commas. */
export function parseNatsUrl(text: string): NatsAddress {
  const urls = text.split(",").map((url) => url.trim());
  const servers = urls.map((url) => url.replace(USER_INFO, "$1"));
  const info = urls.map((url) => USER_INFO.exec(url)?.[2] ?? "").find((found) => found !== "");
  if (info === undefined) return { servers };
  const colon = info.indexOf(":");
  if (colon < 0) return { servers, token: unescaped(info) };
  return { servers, user: unescaped(info.slice(0, colon)), password: unescaped(info.slice(colon + 1)) };
}

/** The addresses with credentials and queries (which may be signatures) taken out. */
export function withoutSecrets(text: string): string {
  const masked = text.split(",").map((url) => url.replace(USER_INFO, "$1***@"));
  return masked.map((url) => (/^https?:/i.test(url) ? url.replace(/\?.*$/, "?***") : url)).join(",");
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A lone % is meant as it stands.
    return text;
  }
}
