/**
 * Reads what a decoder needs out of a block of transactions and steps over the rest: no message objects, no copies, only
 * offsets into the payload. A block is read to its end before anything is decoded from it, so a broken block yields no
 * rows at all. Understands `sf.solana.type.v1.Block` and `sf.substreams.solana.v1.Transactions`.
 */
import { Fatal, Poison } from "../../pipeline/errors.ts";
import { InstructionList } from "./instruction-list.ts";
import { IntList } from "./int-list.ts";
import { ADDRESS_BYTES, type ProgramSet } from "./program-set.ts";
import { bytesTag, ProtobufReader, varintTag } from "./protobuf-reader.ts";
import { checkBalance } from "./token-balances.ts";

/** Field of the repeated ConfirmedTransaction, by message type. */
const TRANSACTIONS_FIELD: ReadonlyMap<string, number> = new Map([
  ["sf.solana.type.v1.Block", 4],
  ["sf.substreams.solana.v1.Transactions", 1],
]);

export const SIGNATURE_BYTES = 64;
/** Far above what a block can hold; a payload of nothing but empty fields must not exhaust the memory. */
const MAX_LOG_LINES = 4_000_000;
const MAX_INSTRUCTIONS = 1_000_000;
const MAX_BALANCES = 1_000_000;
const MAX_KEYS = 4096;

const CONFIRMED = { transaction: bytesTag(1), meta: bytesTag(2) } as const;
const TRANSACTION = { signatures: bytesTag(1), message: bytesTag(2) } as const;
const MESSAGE = { accountKeys: bytesTag(2), instructions: bytesTag(4) } as const;
const META = {
  err: bytesTag(1),
  innerInstructions: bytesTag(5),
  logMessages: bytesTag(6),
  preTokenBalances: bytesTag(7),
  postTokenBalances: bytesTag(8),
  loadedWritable: bytesTag(12),
  loadedReadonly: bytesTag(13),
} as const;
const INNER = { index: varintTag(1), instructions: bytesTag(2) } as const;
const INSTRUCTION = {
  programIdIndex: varintTag(1),
  accounts: bytesTag(2),
  data: bytesTag(3),
  stackHeight: varintTag(4),
} as const;

/**
 * One parsed block. Transactions that name none of the programs are left out. What belongs to transaction t stands at
 * [xFrom[t], xFrom[t + 1]) of the list x. Everything is overwritten by the next `read`.
 */
export class BlockReader {
  bytes: Uint8Array = new Uint8Array(0);
  /** Number of transactions kept. */
  transactions = 0;
  /** Position in the received block, counting the transactions left out. */
  readonly txIndex = new IntList();
  /** 1 when the transaction failed on chain. */
  readonly txFailed = new IntList();
  /** Offset of the first signature. */
  readonly txSignature = new IntList();

  readonly keyFrom = new IntList();
  /** Program number of an account key (0: not ours), in index order: static, loaded writable, loaded read-only. */
  readonly keyProgram = new IntList();
  /** Offset of each account key, in the same order. */
  readonly keyStart = new IntList();

  readonly instructionFrom = new IntList();
  readonly instructions: InstructionList;

  readonly logFrom = new IntList();
  readonly logStart = new IntList();
  readonly logEnd = new IntList();

  /** Token balances before and after, where they are asked for. */
  readonly balanceFrom = new IntList();
  readonly balanceStart = new IntList();
  readonly balanceEnd = new IntList();

  private readonly programs: ProgramSet;
  private readonly balances: boolean;
  private readonly reader = new ProtobufReader();
  // The transaction being read: where its parts are, until it is known whether it is of interest.
  private signature = -1;
  private failed = 0;
  private relevant = false;
  private readonly staticKeys = new KeyList();
  private readonly writableKeys = new KeyList();
  private readonly readonlyKeys = new KeyList();
  private readonly topRanges = new IntList();
  private readonly groupRanges = new IntList();

  /** `balances`: note where token balances are, too; only some decoders need them. */
  constructor(programs: ProgramSet, options: { readonly balances?: boolean } = {}) {
    this.programs = programs;
    this.balances = options.balances === true;
    this.instructions = new InstructionList(programs.size);
  }

  /** Throws `Poison` when the bytes are not the message, `Fatal` when the message type is not one this reader knows. */
  read(payload: Uint8Array, typeName: string): void {
    this.clear();
    this.bytes = payload;
    // A module that matched nothing sends no bytes, and older servers then name no type either.
    if (payload.length > 0) this.readTransactions(payload, typeName);
    this.closeRanges();
  }

  private readTransactions(payload: Uint8Array, typeName: string): void {
    const field = TRANSACTIONS_FIELD.get(typeName);
    if (field === undefined) {
      throw new Fatal("DECODE_TYPE", `blocks of type "${typeName}" cannot be decoded`, {
        hint: `Choose a module whose output is one of: ${[...TRANSACTIONS_FIELD.keys()].join(", ")}. Any other takes a mapping in \`maps\`: \`sluice map\` proposes one.`,
      });
    }
    const wanted = bytesTag(field);
    const r = this.reader;
    r.reset(payload);
    let index = 0;
    for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
      if (tag === wanted) this.readTransaction(index++);
      else r.skip(tag);
    }
  }

  private clear(): void {
    this.transactions = 0;
    this.instructions.clear();
    for (const list of [this.txIndex, this.txFailed, this.txSignature, this.keyProgram, this.keyStart]) list.length = 0;
    for (const list of [this.keyFrom, this.instructionFrom, this.logFrom, this.logStart, this.logEnd]) list.length = 0;
    for (const list of [this.balanceFrom, this.balanceStart, this.balanceEnd]) list.length = 0;
  }

  private closeRanges(): void {
    this.keyFrom.push(this.keyProgram.length);
    this.instructionFrom.push(this.instructions.length);
    this.logFrom.push(this.logStart.length);
    this.balanceFrom.push(this.balanceStart.length);
  }

  private readTransaction(index: number): void {
    this.signature = -1;
    this.failed = 0;
    this.relevant = false;
    this.staticKeys.clear();
    this.writableKeys.clear();
    this.readonlyKeys.clear();
    this.topRanges.length = 0;
    this.groupRanges.length = 0;
    const logMark = this.logStart.length;
    const balanceMark = this.balanceStart.length;
    const r = this.reader;
    const outer = r.open();
    for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
      if (tag === CONFIRMED.transaction) this.readSigned();
      else if (tag === CONFIRMED.meta) this.readMeta();
      else r.skip(tag);
    }
    if (this.relevant) this.keep(index, logMark, balanceMark);
    else {
      this.logStart.length = logMark;
      this.logEnd.length = logMark;
      this.balanceStart.length = balanceMark;
      this.balanceEnd.length = balanceMark;
    }
    r.close(outer);
  }

  private readSigned(): void {
    const r = this.reader;
    const outer = r.open();
    for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
      if (tag === TRANSACTION.message) this.readMessage();
      else if (tag === TRANSACTION.signatures && this.signature < 0) {
        const end = r.value();
        if (end - r.pos !== SIGNATURE_BYTES) throw malformed(`a signature of ${end - r.pos} bytes`);
        this.signature = r.pos;
        r.pos = end;
      } else r.skip(tag);
    }
    r.close(outer);
  }

  private readMessage(): void {
    const r = this.reader;
    const outer = r.open();
    for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
      if (tag === MESSAGE.accountKeys) this.readKey(this.staticKeys);
      else if (tag === MESSAGE.instructions) this.readRange(this.topRanges);
      else r.skip(tag);
    }
    r.close(outer);
  }

  private readMeta(): void {
    const r = this.reader;
    const outer = r.open();
    for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
      switch (tag) {
        case META.logMessages:
          this.readLine();
          break;
        case META.preTokenBalances:
        case META.postTokenBalances:
          this.readBalance(tag);
          break;
        case META.innerInstructions:
          this.readRange(this.groupRanges);
          break;
        case META.loadedWritable:
          this.readKey(this.writableKeys);
          break;
        case META.loadedReadonly:
          this.readKey(this.readonlyKeys);
          break;
        case META.err: // its presence is the failure; what it says concerns nobody here
          this.failed = 1;
          r.skip(tag);
          break;
        default:
          r.skip(tag);
      }
    }
    r.close(outer);
  }

  private readLine(): void {
    const r = this.reader;
    const end = r.value();
    if (this.logStart.length >= MAX_LOG_LINES) throw malformed(`more than ${MAX_LOG_LINES} log lines`);
    this.logStart.push(r.pos);
    this.logEnd.push(end);
    r.pos = end;
  }

  private readBalance(tag: number): void {
    const r = this.reader;
    if (!this.balances) {
      r.skip(tag);
      return;
    }
    const end = r.value();
    if (this.balanceStart.length >= MAX_BALANCES) throw malformed(`more than ${MAX_BALANCES} token balances`);
    this.balanceStart.push(r.pos);
    this.balanceEnd.push(end);
    r.pos = end;
  }

  private readKey(keys: KeyList): void {
    const r = this.reader;
    const end = r.value();
    if (end - r.pos !== ADDRESS_BYTES) throw malformed(`an account key of ${end - r.pos} bytes`);
    if (keys.length >= MAX_KEYS) throw malformed(`more than ${MAX_KEYS} account keys in a transaction`);
    const program = this.programs.find(this.bytes, r.pos);
    if (program !== 0) this.relevant = true;
    keys.push(program);
    keys.start.push(r.pos);
    r.pos = end;
  }

  private readRange(ranges: IntList): void {
    const r = this.reader;
    const end = r.value();
    if (ranges.length >= 2 * MAX_INSTRUCTIONS) throw malformed(`more than ${MAX_INSTRUCTIONS} instructions`);
    ranges.push(r.pos);
    ranges.push(end);
    r.pos = end;
  }

  private keep(index: number, logMark: number, balanceMark: number): void {
    if (this.signature < 0) throw malformed(`transaction ${index} has no signature`);
    this.txIndex.push(index);
    this.txFailed.push(this.failed);
    this.txSignature.push(this.signature);
    this.keyFrom.push(this.keyProgram.length);
    this.instructionFrom.push(this.instructions.length);
    this.logFrom.push(logMark);
    this.balanceFrom.push(balanceMark);
    this.transactions++;
    for (let i = balanceMark; i < this.balanceStart.length; i++) {
      checkBalance(this.reader, this.balanceStart.at(i), this.balanceEnd.at(i));
    }
    const keyMark = this.keyProgram.length;
    for (const keys of [this.staticKeys, this.writableKeys, this.readonlyKeys]) {
      for (let i = 0; i < keys.length; i++) {
        this.keyProgram.push(keys.at(i));
        this.keyStart.push(keys.start.at(i));
      }
    }
    this.keepInstructions(keyMark);
  }

  /** Interleaves top-level instructions with their inner lists: the order in which the runtime executed them. */
  private keepInstructions(keyMark: number): void {
    const r = this.reader;
    const transactionEnd = r.end;
    const groups = this.readGroups();
    this.instructions.startTransaction();
    let group = 0;
    for (let top = 0; 2 * top < this.topRanges.length; top++) {
      r.pos = this.topRanges.at(2 * top);
      r.end = this.topRanges.at(2 * top + 1);
      this.keepInstruction(keyMark, top, -1);
      group = this.keepGroups(keyMark, groups, group, top);
    }
    // Groups of a top-level instruction that is not there: nothing to hang them on, but nothing to lose either.
    while (group < groups.length) group = this.keepGroups(keyMark, groups, group, groups[group]!.top);
    r.end = transactionEnd;
  }

  /** The inner instruction lists by the top-level instruction they belong to. */
  private readGroups(): Group[] {
    const r = this.reader;
    const groups: Group[] = [];
    let sorted = true;
    for (let i = 0; i < this.groupRanges.length; i += 2) {
      const start = (r.pos = this.groupRanges.at(i));
      const end = (r.end = this.groupRanges.at(i + 1));
      let top = 0;
      for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
        if (tag === INNER.index) top = r.varint();
        else r.skip(tag);
      }
      sorted &&= groups.length === 0 || groups[groups.length - 1]!.top <= top;
      groups.push({ top, start, end });
    }
    return sorted ? groups : groups.sort((a, b) => a.top - b.top);
  }

  /** Keeps the groups of `top` that stand at `first` and after; returns where the groups of others begin. */
  private keepGroups(keyMark: number, groups: readonly Group[], first: number, top: number): number {
    const r = this.reader;
    let inner = 0;
    let group = first;
    for (; group < groups.length && groups[group]!.top === top; group++) {
      r.pos = groups[group]!.start;
      r.end = groups[group]!.end;
      for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
        if (tag !== INNER.instructions) r.skip(tag);
        else {
          const outer = r.open();
          this.keepInstruction(keyMark, top, inner++);
          r.close(outer);
        }
      }
    }
    return group;
  }

  private keepInstruction(keyMark: number, top: number, inner: number): void {
    const r = this.reader;
    let key = keyMark;
    let height = 0;
    let dataStart = r.pos;
    let dataEnd = r.pos;
    let accountsStart = r.pos;
    let accountsEnd = r.pos;
    for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
      if (tag === INSTRUCTION.programIdIndex) key = keyMark + r.varint();
      else if (tag === INSTRUCTION.stackHeight) height = r.varint();
      else if (tag === INSTRUCTION.data) {
        dataEnd = r.value();
        dataStart = r.pos;
        r.pos = dataEnd;
      } else if (tag === INSTRUCTION.accounts) {
        accountsEnd = r.value();
        accountsStart = r.pos;
        r.pos = accountsEnd;
      } else r.skip(tag);
    }
    if (this.instructions.length >= MAX_INSTRUCTIONS) throw malformed(`more than ${MAX_INSTRUCTIONS} instructions`);
    const program = key < this.keyProgram.length ? this.keyProgram.at(key) : 0;
    this.instructions.add(program, inner < 0 ? 1 : height, top, inner, dataStart, dataEnd, accountsStart, accountsEnd);
  }
}

/** Program numbers of account keys, and where the keys are. */
class KeyList extends IntList {
  readonly start = new IntList();

  clear(): void {
    this.length = 0;
    this.start.length = 0;
  }
}

interface Group {
  readonly top: number;
  readonly start: number;
  readonly end: number;
}

function malformed(what: string): Poison {
  return new Poison("BLOCK_MALFORMED", `the block holds ${what}`, {
    hint: "The bytes are not a Solana block; they are kept in the quarantine dataset.",
  });
}
