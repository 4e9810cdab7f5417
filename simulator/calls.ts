/** Builders of single invocations: the target program's instructions as its IDL has them, and the company they keep. */
import { Account, PROGRAMS, type Program, SYSVARS } from "./accounts.ts";
import { anchorDiscriminator, EMIT_CPI_TAG, encodeEvent, type GrownAt, type MarketEvent } from "./events.ts";
import type { Action, Order, Token } from "./market.ts";
import { Random } from "./random.ts";
import type { Call, Payload, Step } from "./runtime.ts";

const utf8 = new TextEncoder();
const NO_DATA = new Uint8Array(0);
const scratch = new Uint8Array(1024);
const scratchView = new DataView(scratch.buffer);
const EVENT_AUTHORITY = new Account(new Random(0, "program", 9).bytes(32), true);
const UNKNOWN_DISCRIMINATOR = anchorDiscriminator("event", "ParamsRotatedEvent");

const INSTRUCTIONS = Object.fromEntries(
  ["create", "buy", "sell", "long", "short", "close_long", "close_short"].map((name) => [
    name,
    {
      discriminator: anchorDiscriminator("global", name),
      line: utf8.encode(
        `Program log: Instruction: ${name.replace(/(^|_)(\w)/g, (_, __, c: string) => c.toUpperCase())}`,
      ),
    },
  ]),
);
const TRANSFER_LINE = utf8.encode("Program log: Instruction: TransferChecked");
const TRADE_LINE = utf8.encode("Program log: Trade settled");

/** Lines of programs' own logs that naive readers take for the runtime's. */
function decoyLines(program: Program, fake: Uint8Array): readonly string[] {
  return [
    "Program log: Parameters updated successfully!",
    "Program log: previous attempt failed: retrying with success",
    `Program log: Program ${program.text} success`,
    `Program log: Program ${program.text} failed: custom program error: 0x1`,
    `Program log: Program ${PROGRAMS.exchange.text} invoke [2]`,
    `Program log: Program data: ${Buffer.from(fake).toString("base64")}`,
    `Program log: two lines in one\nProgram ${program.text} success`,
    `Program return: ${program.text} AQAAAAAAAAA=`,
  ];
}

/** How one call of the target program behaves. */
export interface Manner {
  /** Events travel as self-CPIs instead of log lines. */
  readonly emitCpi: boolean;
  readonly decoys: boolean;
  /** Calls a foreign program that logs payloads with the target's discriminators. */
  readonly hook: boolean;
  readonly unknown: boolean;
  readonly quarantined: boolean;
  /** Where the program has new fields in its events; null before its upgrade. */
  readonly grown: GrownAt | null;
  /** Fails after all its events with this code. */
  readonly error: number | null;
}

/** An instruction of the target program: what it logs, whom it calls, and the events it emits. */
export function targetCall(options: {
  program: Program;
  action: Action;
  events: readonly MarketEvent[];
  manner: Manner;
  random: Random;
}): Call {
  const { program, action, events, manner, random } = options;
  const { token } = action;
  const payer = payerOf(action);
  const name = instructionName(action, events);
  const steps: Step[] = [{ kind: "line", line: INSTRUCTIONS[name]!.line }];
  if (action.kind === "create") steps.push({ kind: "line", line: `Program log: name: ${token.definition.name}` });
  if (manner.decoys) {
    const lines = decoyLines(program, fakePayload(token, random));
    for (let i = random.between(1, 3); i > 0; i--) steps.push({ kind: "line", line: random.pick(lines) });
  }
  if (manner.hook) steps.push({ kind: "call", call: hookCall(token, random) });
  steps.push({ kind: "call", call: tokenTransfer(token, payer) });
  if (action.kind !== "sell")
    steps.push({ kind: "call", call: systemTransfer(payer, token.definition.poolSol, 10_000) });
  if (manner.quarantined) steps.push(undecodable(token, payer, random));
  const unknownFirst = random.chance(0.5);
  if (manner.unknown && unknownFirst) steps.push(unknown(random));
  for (const event of events) {
    const bytes = encodeEvent(event, manner.grown);
    steps.push(manner.emitCpi ? selfCpi(program, event, bytes) : logged(event, bytes));
  }
  if (manner.unknown && !unknownFirst) steps.push(unknown(random));
  if (manner.error !== null) {
    steps.push({
      kind: "line",
      line: `Program log: AnchorError occurred. Error Code: LiquidityLocked. Error Number: ${manner.error}. Error Message: locked.`,
    });
  }
  return {
    program,
    accounts: accountsOf(action, events),
    data: instructionData(name, action, random),
    units: random.between(21_000, 64_000),
    steps,
    ...(manner.error === null ? {} : { error: manner.error }),
  };
}

export function payerOf(action: Action): Account {
  return action.kind === "create" ? action.token.definition.creator : action.payer;
}

/** The user's account for a token: a fixed function of both, like an associated token account. */
export function tokenAccount(token: Token, owner: Account): Account {
  const mint = token.definition.mint.key;
  return new Account(owner.key.map((byte, i) => byte ^ mint[i]!));
}

function instructionName(action: Action, events: readonly MarketEvent[]): string {
  if (action.kind !== "close") return action.kind;
  const closed = events[0]!;
  return "is_close_long" in closed && closed.is_close_long ? "close_long" : "close_short";
}

function accountsOf(action: Action, events: readonly MarketEvent[]): Account[] {
  const d = action.token.definition;
  const accounts = [payerOf(action), d.mint, d.curve, d.poolToken, d.poolSol];
  accounts.push(PROGRAMS.token, PROGRAMS.system, SYSVARS.rent, d.feeRecipient, d.baseFeeRecipient);
  for (const event of events) if ("order_pda" in event) accounts.push(event.order_pda);
  return accounts;
}

function instructionData(name: string, action: Action, random: Random): Uint8Array {
  const out = scratch;
  const view = scratchView;
  let at = 8;
  const u64 = (value: bigint) => {
    view.setBigUint64(at, value, true);
    at += 8;
  };
  const text = (value: string) => {
    const { written } = utf8.encodeInto(value, out.subarray(at + 4));
    view.setUint32(at, written, true);
    at += 4 + written;
  };
  const pairs = (orders: readonly Order[]) => {
    view.setUint32(at, orders.length, true);
    at += 4;
    for (const order of orders) {
      u64(order.lamports);
      u64(order.tokens);
    }
  };
  out.set(INSTRUCTIONS[name]!.discriminator);
  if (action.kind === "create") {
    text(action.token.definition.name);
    text(action.token.definition.symbol);
    text(action.token.definition.uri);
    return out.slice(0, at);
  }
  if (action.kind === "long" || action.kind === "short") u64(BigInt(random.u32()));
  pairs(action.token.state.orders.slice(0, 3));
  u64(action.kind === "close" ? BigInt(action.permille) : action.tokens);
  u64(BigInt(random.u32()) * 4n);
  if (action.kind === "long" || action.kind === "short") {
    u64(BigInt(action.marginPermille) * 1_000_000n);
    u64(BigInt(random.u32()));
    u64(0n);
  } else if (action.kind === "close") {
    out.set([random.int(10), random.int(10), random.int(10)], at);
    at += 3;
    text(action.pda.text);
  }
  return out.slice(0, at);
}

function logged(event: MarketEvent, bytes: Uint8Array): Step {
  return { kind: "data", bytes, payload: { kind: "event", event } };
}

function selfCpi(program: Program, event: MarketEvent, bytes: Uint8Array): Step {
  return { kind: "call", call: emitCpi(program, bytes), payload: { kind: "event", event } };
}

function emitCpi(program: Program, bytes: Uint8Array): Call {
  const data = new Uint8Array(8 + bytes.length);
  data.set(EMIT_CPI_TAG);
  data.set(bytes, 8);
  return { program, accounts: [EVENT_AUTHORITY], data, units: 2_134, steps: [] };
}

/** A known event cut short: no layout has this length. */
function undecodable(token: Token, payer: Account, random: Random): Step {
  const body = random.bytes(random.pick([73, 81, 89]));
  body.set(payer.key);
  body.set(token.definition.mint.key, 32);
  body[64] = random.int(2);
  const bytes = new Uint8Array(8 + body.length);
  bytes.set(anchorDiscriminator("event", "BuySellEvent"));
  bytes.set(body, 8);
  const payload: Payload = { kind: "undecodable", bytes };
  return { kind: "data", bytes, payload };
}

function unknown(random: Random): Step {
  const bytes = new Uint8Array(8 + 40);
  bytes.set(UNKNOWN_DISCRIMINATOR);
  bytes.set(random.bytes(40), 8);
  return { kind: "data", bytes, payload: { kind: "unknown" } };
}

/** A well-formed BuySell event that never happened. */
export function fakePayload(token: Token, random: Random): Uint8Array {
  return encodeEvent({
    kind: "buy_sell",
    payer: token.definition.creator,
    mint_account: token.definition.mint,
    is_buy: true,
    token_amount: BigInt(random.u32()),
    sol_amount: BigInt(random.u32()),
    latest_price: BigInt(random.u32()) * 10n ** 15n,
  });
}

/** A foreign program that logs and self-CPIs payloads looking exactly like the target's. */
function hookCall(token: Token, random: Random): Call {
  const fake = fakePayload(token, random);
  return {
    program: PROGRAMS.hook,
    accounts: [token.definition.mint],
    data: random.bytes(9),
    units: 3_300,
    steps: [
      { kind: "line", line: "Program log: transfer hook" },
      { kind: "data", bytes: fake },
      { kind: "call", call: emitCpi(PROGRAMS.hook, fake) },
    ],
  };
}

function tokenTransfer(token: Token, payer: Account): Call {
  return {
    program: PROGRAMS.token,
    accounts: [token.definition.poolToken, token.definition.mint, payer],
    data: Uint8Array.of(12, 0, 0, 0, 0, 0, 0, 0, 0, 6),
    units: 6_147,
    steps: [{ kind: "line", line: TRANSFER_LINE }],
  };
}

export function systemTransfer(from: Account, to: Account, lamports: number): Call {
  const data = new Uint8Array(12);
  const view = new DataView(data.buffer);
  view.setUint32(0, 2, true);
  view.setUint32(4, lamports, true);
  return { program: PROGRAMS.system, accounts: [from, to], data, units: 150, steps: [] };
}

export function computeBudgetCalls(unitLimit: number, price: number): Call[] {
  const limit = Uint8Array.of(2, unitLimit, unitLimit >>> 8, unitLimit >>> 16, unitLimit >>> 24);
  const fee = Uint8Array.of(3, price, price >>> 8, price >>> 16, 0, 0, 0, 0, 0);
  return [limit, fee].map((data) => ({ program: PROGRAMS.computeBudget, accounts: [], data, units: 150, steps: [] }));
}

export function precompileCall(random: Random): Call {
  const program = random.chance(0.5) ? PROGRAMS.ed25519 : PROGRAMS.secp256k1;
  return { program, accounts: [], data: random.bytes(112), units: 0, steps: [] };
}

export function memoCall(text: string): Call {
  const line = `Program log: Memo (len ${Buffer.byteLength(text)}): ${JSON.stringify(text)}`;
  return {
    program: PROGRAMS.memo,
    accounts: [],
    data: utf8.encode(text),
    units: 14_000,
    steps: [{ kind: "line", line }],
  };
}

/** A program that checks the result and, with an error, fails what came before it. */
export function guardCall(payer: Account, error: number | null): Call {
  return {
    program: PROGRAMS.guard,
    accounts: [payer],
    data: NO_DATA,
    units: 1_800,
    steps: [{ kind: "line", line: error === null ? TRADE_LINE : "Program log: Slippage check failed" }],
    ...(error === null ? {} : { error }),
  };
}

/** Fills the log: whatever is logged afterwards is lost. */
export function chatterCall(payer: Account): Call {
  const steps: Step[] = [];
  for (let i = 0; i < 40; i++) steps.push({ kind: "line", line: `Program log: ${i} ${"trace ".repeat(60)}` });
  return { program: PROGRAMS.chatter, accounts: [payer], data: NO_DATA, units: 90_000, steps };
}

/** A router that does part of its own work and reaches the target by CPI. */
export function routerCall(payer: Account, inner: readonly Call[]): Call {
  const steps: Step[] = [{ kind: "line", line: "Program log: Instruction: Route" }];
  for (const call of inner) steps.push({ kind: "call", call });
  steps.push({ kind: "data", bytes: Uint8Array.of(64, 198, 205, 232, 38, 8, 113, 226, 1, 2, 3, 4, 5, 6, 7, 8) });
  return { program: PROGRAMS.router, accounts: [payer], data: Uint8Array.of(229, 23, 203, 151), units: 12_000, steps };
}

/** A foreign trade. `named` are accounts that it merely lists, such as the target program. */
export function exchangeCall(payer: Account, named: readonly Account[], bytes: Uint8Array): Call {
  return {
    program: PROGRAMS.exchange,
    accounts: [payer, ...named],
    data: Uint8Array.of(248, 198, 158, 145, 225, 117, 135, 200),
    units: 41_000,
    steps: [
      { kind: "line", line: "Program log: Instruction: Swap" },
      { kind: "data", bytes },
      { kind: "line", line: TRADE_LINE },
    ],
  };
}

export function voteCall(voter: Account, voteAccount: Account, random: Random): Call {
  const accounts = [voteAccount, SYSVARS.slotHashes, SYSVARS.clock, voter];
  return { program: PROGRAMS.vote, accounts, data: random.bytes(60), units: 2_100, steps: [] };
}
