/** What proves to an endpoint who asks. Never in a log or an error. */
import { Fatal } from "../errors.ts";
import type { Endpoint } from "./endpoint.ts";

/** Empty: none. When there are both, the token is used. */
export interface Credentials {
  /** JWT, sent as `authorization: Bearer`. */
  readonly token: string;
  /** Sent as `x-api-key`, unless it is to be exchanged. */
  readonly apiKey: string;
  /** Where the API key is exchanged for tokens (POST); empty or absent: it is sent as it is. */
  readonly exchangeUrl?: string;
}

/** Throws `Fatal` SUBSTREAMS_AUTH: endpoints elsewhere always want credentials, and headers hold printable ASCII only. */
export function credentialHeaders({ token, apiKey }: Credentials, endpoint: Endpoint): Record<string, string> {
  const secret = token === "" ? apiKey : token;
  if (secret === "" && !endpoint.loopback) {
    throw new Fatal("SUBSTREAMS_AUTH", "there is neither a token nor an API key for the endpoint", {
      where: endpoint.origin,
      hint: "Set SUBSTREAMS_JWT_TOKEN or SUBSTREAMS_API_KEY; your provider's dashboard gives you one.",
    });
  }
  if (/[^\x21-\x7e]/.test(secret)) {
    throw new Fatal("SUBSTREAMS_AUTH", "the token or API key holds spaces, line breaks or other odd characters", {
      where: token === "" ? "SUBSTREAMS_API_KEY" : "SUBSTREAMS_JWT_TOKEN",
      hint: "Copy it again, without quotes and without the word Bearer.",
    });
  }
  if (secret === "") return {};
  return token === "" ? { "x-api-key": apiKey } : { authorization: `Bearer ${token}` };
}

/** Takes the secrets out of a text, for servers that quote what they were sent. */
export function mask(text: string, { token, apiKey }: Credentials): string {
  let masked = text;
  for (const secret of [token, apiKey]) if (secret !== "") masked = masked.replaceAll(secret, "***");
  return masked;
}
