/** Headers that every answer leaves with: they keep browsers from misusing it. */
export const SECURITY_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
} as const;

/** For JSON; the security headers are there already, which costs less than to add them afterwards. */
export const JSON_HEADERS = { ...SECURITY_HEADERS, "content-type": "application/json" } as const;

/** Adds what is missing. */
export function secure(headers: Headers): void {
  if (headers.has("x-content-type-options")) return;
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) if (!headers.has(name)) headers.set(name, value);
}
