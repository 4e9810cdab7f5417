/**
 * The registry of error codes: `docs/errors.md`, which people read as a page and `sluice explain` code by code. A test
 * holds that every code that the program can raise is there, and none that it cannot.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Explanation {
  readonly code: string;
  /** Heading of the page's part that the code stands in. */
  readonly area: string;
  /** What happens next: "Transient", "Poison", "Fatal", "Fenced", "Rewind", "Shutdown", or two with "or". */
  readonly kind: string;
  readonly meaning: string;
  readonly remedy: string;
}

const PAGE = join(import.meta.dir, "..", "docs", "errors.md");
const ENTRY = /^\*([A-Z][a-z]+(?: or [a-z]+)?)\.\* ([\s\S]+?)\n\*\*Do:\*\* ([\s\S]+)$/;

/** All codes, as on the page. */
export function errorCodes(page = readFileSync(PAGE, "utf8")): ReadonlyMap<string, Explanation> {
  const found = new Map<string, Explanation>();
  for (const part of page.split(/^## /m).slice(1)) {
    const [area, ...entries] = part.split(/^### /m);
    for (const entry of entries) {
      const end = entry.indexOf("\n");
      const code = entry.slice(0, end).trim();
      const match = ENTRY.exec(entry.slice(end + 1).trim());
      if (match === null) throw new Error(`docs/errors.md: ${code} has no kind, meaning and remedy`);
      if (found.has(code)) throw new Error(`docs/errors.md: ${code} is explained twice`);
      const [kind, meaning, remedy] = match.slice(1).map((text) => text.replaceAll(/\s+/g, " ").trim());
      found.set(code, { code, area: area!.trim(), kind: kind!, meaning: meaning!, remedy: remedy! });
    }
  }
  return found;
}
