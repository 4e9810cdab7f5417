/** What a token's `uri` names, and which fields of the document behind it are told. */

/** A path of IPFS: a content id, perhaps with a path below it. */
const IPFS_PATH = /^[A-Za-z0-9]{32,128}(\/[\w.~%-]{1,128}){0,8}$/;

/**
 * The address to fetch: through the gateway for `ipfs://<id>` and for anything with `/ipfs/<id>` in it (cut at "?" and
 * "#"), the address itself otherwise. Null where there is nothing to fetch.
 */
export function addressFor(uri: string, gateway: string): string | null {
  const found = /^ipfs:\/\/(?:ipfs\/)?([^?#]+)/i.exec(uri) ?? /\/ipfs\/([^?#]+)/.exec(uri);
  if (found !== null) {
    const path = found[1]!.replace(/\/+$/, "");
    return IPFS_PATH.test(path) && !/(^|\/)\.\.?(\/|$)/.test(path) ? `${gateway.replace(/\/*$/, "/")}${path}` : null;
  }
  const url = uri.length <= 2_048 ? URL.parse(uri) : null;
  return url !== null && (url.protocol === "https:" || url.protocol === "http:") ? url.href : null;
}

const TEXTS = ["name", "symbol", "description", "image", "createdOn", "twitter", "website", "telegram"] as const;
const TEXT_MAX = 4_096;

export type Metadata = Readonly<Record<string, string | boolean | null>>;

/** The known fields of a document, null where it lacks them; null when it is no JSON object. */
export function metadataIn(text: string): Metadata | null {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) return null;
  const own = (name: string): unknown =>
    Object.hasOwn(document, name) ? (document as Record<string, unknown>)[name] : null;
  const texts = TEXTS.map((name) => {
    const value = own(name);
    return [name, typeof value === "string" ? value.slice(0, TEXT_MAX) : null] as const;
  });
  const showName = own("showName");
  return { ...Object.fromEntries(texts), showName: typeof showName === "boolean" ? showName : null };
}
