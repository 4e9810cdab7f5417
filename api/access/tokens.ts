/**
 * Access tokens: a file of names, scopes and hashes. A token is `slc_<id>_<secret>`; the secret is 256 random bits, so its
 * SHA-256 tells nothing and needs no salt, and it is shown once, when it is made. Servers look at the file again within a
 * second of its change, so a revoked token is refused from then on.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Static, Type as t } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { Fatal, Transient } from "../../pipeline/errors.ts";
import type { World } from "../../pipeline/world.ts";
import { SCOPES, type Scope } from "../routes/route.ts";

const TOKEN = /^slc_([0-9a-f]{12})_([0-9a-f]{64})$/;
const NAME = /^[\w.-]{1,64}$/;
export const TOKENS_MAX = 1_000;
/** How soon a change of the file is seen, ms. */
const LOOK_MS = 1_000;
/** A writer that holds the lock longer than this is gone, ms. */
const LOCK_STALE_MS = 10_000;

const Entry = t.Object(
  {
    id: t.String({ pattern: "^[0-9a-f]{12}$" }),
    name: t.String({ pattern: NAME.source }),
    sha256: t.String({ pattern: "^[0-9a-f]{64}$" }),
    scopes: t.Array(t.Union(SCOPES.map((scope) => t.Literal(scope))), { minItems: 1 }),
    created: t.Integer({ description: "ms since the Unix epoch" }),
    expires: t.Union([t.Integer(), t.Null()], { description: "ms since the Unix epoch" }),
    rateLimit: t.Union([t.Integer({ minimum: 1 }), t.Null()], {
      description: "requests a window; null: the setting's",
    }),
  },
  { additionalProperties: false },
);
const File = t.Object({ tokens: t.Array(Entry, { maxItems: TOKENS_MAX }) }, { additionalProperties: false });
export type TokenEntry = Static<typeof Entry>;

export interface NewToken {
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly expires?: number;
  readonly rateLimit?: number;
}

export class TokenFile {
  readonly path: string;
  private readonly world: Pick<World, "now" | "monotonic">;
  private seen: { readonly at: number; readonly mark: string; readonly entries: readonly TokenEntry[] } | null = null;

  constructor(path: string, world: Pick<World, "now" | "monotonic">) {
    this.path = path;
    this.world = world;
  }

  /** All tokens, those that have expired included. Throws `Fatal` TOKENS_FILE when the file cannot be trusted. */
  entries(): readonly TokenEntry[] {
    const at = this.world.monotonic();
    if (this.seen !== null && at - this.seen.at < LOOK_MS) return this.seen.entries;
    const mark = this.mark();
    const entries = this.seen?.mark === mark ? this.seen.entries : this.load();
    this.seen = { at, mark, entries };
    return entries;
  }

  /** The token's entry; null for one that is unknown, wrong, revoked or expired. Compares in constant time. */
  find(text: string): TokenEntry | null {
    const [, id, secret] = TOKEN.exec(text) ?? [];
    if (id === undefined || secret === undefined) return null;
    const hash = hashOf(secret);
    const entry = this.entries().find((known) => known.id === id);
    // Unknown ids cost as much as known ones.
    const isSame = timingSafeEqual(hash, entry === undefined ? NOBODY : Buffer.from(entry.sha256, "hex"));
    if (entry === undefined || !isSame) return null;
    return entry.expires !== null && entry.expires <= this.world.now() ? null : entry;
  }

  /** Makes a token and returns it: the only time that it is told. */
  create({ name, scopes, expires, rateLimit }: NewToken): { readonly token: string; readonly entry: TokenEntry } {
    if (!NAME.test(name)) {
      throw new Fatal("TOKEN_NAME", "a token's name is 1 to 64 letters, digits, dots, dashes and underscores");
    }
    const id = randomBytes(6).toString("hex");
    const secret = randomBytes(32).toString("hex");
    const entry: TokenEntry = {
      id,
      name,
      sha256: hashOf(secret).toString("hex"),
      scopes: [...new Set(scopes)],
      created: this.world.now(),
      expires: expires ?? null,
      rateLimit: rateLimit ?? null,
    };
    this.change((entries) => {
      if (entries.some((known) => known.name === name)) {
        throw new Fatal("TOKEN_NAME", `there is a token named ${name} already`, {
          where: this.path,
          hint: "Choose another name, or revoke that one first.",
        });
      }
      if (entries.length >= TOKENS_MAX) throw new Fatal("TOKENS_MAX", `there are ${TOKENS_MAX} tokens already`);
      return [...entries, entry];
    });
    return { token: `slc_${id}_${secret}`, entry };
  }

  /** Takes a token's right away, by name or id. Returns what it was; null when there is none. */
  revoke(nameOrId: string): TokenEntry | null {
    let revoked: TokenEntry | null = null;
    this.change((entries) => {
      revoked = entries.find(({ name, id }) => name === nameOrId || id === nameOrId) ?? null;
      return entries.filter((entry) => entry !== revoked);
    });
    return revoked;
  }

  private change(action: (entries: readonly TokenEntry[]) => readonly TokenEntry[]): void {
    const lock = `${this.path}.lock`;
    mkdirSync(dirname(this.path), { recursive: true });
    this.lock(lock);
    try {
      const tokens = action(this.load());
      const draft = `${this.path}.${process.pid}.new`;
      writeFileSync(draft, `${JSON.stringify({ tokens }, null, 2)}\n`, { mode: 0o600 });
      renameSync(draft, this.path);
      this.seen = null;
    } finally {
      rmSync(lock, { force: true });
    }
  }

  /** Two commands at once must not lose one's token. */
  private lock(lock: string): void {
    const held = statSync(lock, { throwIfNoEntry: false });
    if (held !== undefined && this.world.now() - held.mtimeMs > LOCK_STALE_MS) rmSync(lock, { force: true });
    try {
      writeFileSync(lock, String(process.pid), { flag: "wx", mode: 0o600 });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
      throw new Transient("TOKENS_LOCKED", "the tokens are being changed by another command", {
        where: lock,
        hint: "Try again in a moment.",
        cause,
      });
    }
  }

  private mark(): string {
    const stat = statSync(this.path, { throwIfNoEntry: false });
    return stat === undefined ? "" : `${stat.ino}:${stat.mtimeMs}:${stat.size}`;
  }

  private load(): readonly TokenEntry[] {
    if (this.mark() === "") return [];
    let content: unknown;
    try {
      content = JSON.parse(readFileSync(this.path, "utf8"));
    } catch (cause) {
      throw this.broken("it is not JSON, or cannot be read", cause);
    }
    if (Value.Check(File, content)) return content.tokens;
    const error = Value.Errors(File, content).First();
    throw this.broken(`${error?.path || "it"}: ${error?.message ?? "not a list of tokens"}`);
  }

  private broken(reason: string, cause?: unknown): Fatal {
    return new Fatal("TOKENS_FILE", `the file of tokens cannot be trusted: ${reason}`, {
      where: this.path,
      hint: "Restore it, or move it away and make new tokens with `sluice token create`.",
      cause,
    });
  }
}

const hashOf = (secret: string) => new Bun.CryptoHasher("sha256").update(secret).digest();
const NOBODY = Buffer.alloc(32);
