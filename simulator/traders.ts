/** What the market's people do next: which token, which trade, which size. Decides only; the market executes. */
import { Account } from "./accounts.ts";
import { INITIAL_TOKENS, tokensFor } from "./curve.ts";
import { type Action, type Market, ORDERS_PER_TOKEN_MAX, Token, type TokenDefinition } from "./market.ts";
import type { Rates } from "./profiles.ts";
import { Random } from "./random.ts";

const LAMPORTS_PER_SOL = 1_000_000_000;
/** Share of closes made by somebody else than the owner: keepers of expired orders. */
const KEEPER_SHARE = 0.2;
const SYLLABLES = ["mo", "on", "pe", "pu", "do", "ge", "sol", "cat", "in", "u", "ba", "zo", "ra", "ki", "lu", "chi"];
const SPECIAL_NAMES = ["Лисичка", "月の猫", "Café Crème", "Ünïcode 🚀", "حظ", "One, \"Two\" & 'Three'"];

/** Of a hundred actions on a token; a close where there is no order becomes a buy. */
const WEIGHTS: readonly (readonly [kind: "buy" | "sell" | "long" | "short" | "partial" | "full", weight: number])[] = [
  ["buy", 44],
  ["sell", 32],
  ["long", 8],
  ["short", 6],
  ["partial", 4],
  ["full", 6],
];

export class Traders {
  readonly #seed: number;
  readonly #rates: Rates;
  readonly #random: Random;
  readonly #market: Market;
  readonly #accounts = new Map<number, Account>();
  #tokens = 0;
  #orders = 0;

  constructor(options: { seed: number; rates: Rates; market: Market }) {
    this.#seed = options.seed;
    this.#rates = options.rates;
    this.#market = options.market;
    this.#random = new Random(options.seed, "market");
  }

  /** Whether a further token may be created now. */
  get mayCreate(): boolean {
    return this.#market.tokens.length < this.#rates.tokensMax;
  }

  /** The next action: feasible more often than not, but the market may refuse it. */
  next(): Action {
    if (this.#market.tokens.length === 0 || (this.mayCreate && this.#random.chance(this.#rates.create))) {
      return this.create();
    }
    const token = this.token();
    return this.#tradeOf(token, this.#kind(token));
  }

  create(): Action {
    return { kind: "create", token: new Token(this.#define(this.#tokens++)) };
  }

  /** A plain purchase, the most harmless thing to do. */
  buy(token: Token = this.token(), payer: Account = this.trader()): Action & { kind: "buy" } {
    const u = this.#random.float();
    const lamports = Math.floor((0.01 + u * u * u * 4) * LAMPORTS_PER_SOL);
    return { kind: "buy", token, payer, tokens: tokensFor(token.state.reserve, BigInt(lamports)) } as const;
  }

  trader(): Account {
    const index = this.#random.skewed(this.#rates.traders);
    let account = this.#accounts.get(index);
    if (account === undefined) {
      account = new Account(new Random(this.#seed, "trader", index).bytes(32));
      this.#accounts.set(index, account);
    }
    return account;
  }

  /** Old favourites and new launches get most of the attention. */
  token(): Token {
    const { tokens } = this.#market;
    const rank = this.#random.skewed(tokens.length);
    return this.#random.chance(0.6) ? tokens[rank]! : tokens[tokens.length - 1 - rank]!;
  }

  #kind(token: Token): (typeof WEIGHTS)[number][0] {
    let ticket = this.#random.int(100);
    for (const [kind, weight] of WEIGHTS) {
      if ((ticket -= weight) >= 0) continue;
      const { orders, held } = token.state;
      if ((kind === "partial" || kind === "full") && orders.length === 0) return "buy";
      if ((kind === "long" || kind === "short") && orders.length >= ORDERS_PER_TOKEN_MAX) return "full";
      return kind === "sell" && held === 0n ? "buy" : kind;
    }
    return "buy";
  }

  #tradeOf(token: Token, kind: (typeof WEIGHTS)[number][0]): Action {
    const random = this.#random;
    const payer = this.trader();
    switch (kind) {
      case "buy":
        return this.buy(token, payer);
      case "sell": {
        const u = random.float();
        const permille = BigInt(1 + Math.floor(u * u * 400));
        return { kind, token, payer, tokens: (token.state.held * permille) / 1000n };
      }
      case "long":
      case "short": {
        const permille = BigInt(random.between(2, 25));
        const pda = new Account(new Random(this.#seed, "order", this.#orders++).bytes(32));
        const size = kind === "long" ? token.state.reserve : INITIAL_TOKENS;
        const tokens = (size * permille) / 1000n;
        return {
          kind,
          token,
          payer,
          tokens,
          marginPermille: random.between(60, 500),
          pda,
          durationSeconds: random.between(60, 7200),
        };
      }
      case "partial":
      case "full": {
        const order = random.pick(token.state.orders);
        return {
          kind: "close",
          token,
          payer: random.chance(KEEPER_SHARE) ? payer : order.user,
          pda: order.pda,
          permille: kind === "full" ? 1000 : random.between(50, 900),
          wrappedProfit: random.chance(this.#rates.wrappedProfit),
        };
      }
    }
  }

  #define(index: number): TokenDefinition {
    const random = new Random(this.#seed, "token", index);
    const account = () => new Account(random.bytes(32));
    const name = random.chance(0.1) ? random.pick(SPECIAL_NAMES) : this.#name(random);
    const cid = `Qm${new Account(random.bytes(32)).text}`;
    return {
      mint: account(),
      curve: account(),
      poolToken: account(),
      poolSol: account(),
      params: account(),
      feeRecipient: account(),
      baseFeeRecipient: account(),
      creator: this.trader(),
      name,
      symbol: [...name.replace(/[^\p{L}\p{N}]/gu, "")].slice(0, 5).join("").toUpperCase(),
      uri: random.pick([`https://ipfs.io/ipfs/${cid}`, `ipfs://${cid}`, `https://example.com/${index}.json`, ""]),
      legacy: random.chance(0.1),
    };
  }

  #name(random: Random): string {
    const word = Array.from({ length: random.between(2, 4) }, () => random.pick(SYLLABLES)).join("");
    return word[0]!.toUpperCase() + word.slice(1);
  }
}
