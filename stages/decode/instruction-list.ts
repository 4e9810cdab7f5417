/** The instructions of a block in execution order, in columns, with who called whom. */
import { IntList } from "./int-list.ts";

/** The runtime allows a stack of nine; anything above this is not a height but noise. */
export const MAX_STACK_HEIGHT = 64;

export class InstructionList {
  /** Program number (0: not ours). */
  readonly program = new IntList();
  /** Program number of the instruction that called this one; 0 at the top, or when the caller is not ours. */
  readonly caller = new IntList();
  /** Index in this list of the instruction that called this one; -1 at the top, or when it is not known. */
  readonly callerAt = new IntList();
  /** Stack height as recorded, 1 at the top; 0 where an old block does not record it. */
  readonly height = new IntList();
  /** Index of the top-level instruction. */
  readonly top = new IntList();
  /** Index in the flattened inner list of `top`; -1 for the top-level instruction itself. */
  readonly inner = new IntList();
  readonly dataStart = new IntList();
  readonly dataEnd = new IntList();
  /** Where the account indexes are, one byte each. */
  readonly accountsStart = new IntList();
  readonly accountsEnd = new IntList();
  private readonly lastAtHeight = new Int32Array(MAX_STACK_HEIGHT + 1);
  /** By program number: its instruction that ran last in this transaction. */
  private readonly lastOf: Int32Array;

  constructor(programs: number) {
    this.lastOf = new Int32Array(programs + 1);
  }

  get length(): number {
    return this.program.length;
  }

  clear(): void {
    for (const list of [this.program, this.caller, this.callerAt, this.height, this.top, this.inner]) list.length = 0;
    for (const list of [this.dataStart, this.dataEnd, this.accountsStart, this.accountsEnd]) list.length = 0;
  }

  startTransaction(): void {
    this.lastOf.fill(-1);
    this.lastAtHeight.fill(-1);
  }

  add(
    program: number,
    recordedHeight: number,
    top: number,
    inner: number,
    dataStart: number,
    dataEnd: number,
    accountsStart: number,
    accountsEnd: number,
  ): void {
    const index = this.program.length;
    const height = recordedHeight <= MAX_STACK_HEIGHT ? recordedHeight : 0;
    this.lastAtHeight[height] = index;
    const caller = inner < 0 ? -1 : this.callerOf(program, height, top);
    this.callerAt.push(caller);
    this.caller.push(caller < 0 ? 0 : this.program.at(caller));
    this.program.push(program);
    this.height.push(height);
    this.top.push(top);
    this.inner.push(inner);
    this.dataStart.push(dataStart);
    this.dataEnd.push(dataEnd);
    this.accountsStart.push(accountsStart);
    this.accountsEnd.push(accountsEnd);
    this.lastOf[program] = index;
  }

  /** Where heights are not recorded, a program that ran before under the same top-level instruction passes for its caller. */
  private callerOf(program: number, height: number, top: number): number {
    const parent = height < 2 ? this.lastOf[program]! : this.lastAtHeight[height - 1]!;
    return parent >= 0 && this.top.at(parent) === top ? parent : -1;
  }
}
