/** `sf.solana.type.v1` and `sf.substreams.solana.v1.Transactions` as the peers are given them. */

export interface FieldSpec {
  readonly name: string;
  readonly id: number;
  readonly type: string;
  readonly repeated: boolean;
}

export type Schema = Readonly<Record<string, readonly FieldSpec[]>>;

/** "name type id", with "*" after the type of a repeated field. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  Transactions: ["transactions ConfirmedTransaction* 1"],
  Block: [
    "previousBlockhash string 1",
    "blockhash string 2",
    "parentSlot uint64 3",
    "transactions ConfirmedTransaction* 4",
    "rewards Reward* 5",
    "blockTime UnixTimestamp 6",
    "blockHeight BlockHeight 7",
    "slot uint64 20",
  ],
  ConfirmedTransaction: ["transaction Transaction 1", "meta TransactionStatusMeta 2"],
  Transaction: ["signatures bytes* 1", "message Message 2"],
  Message: [
    "header MessageHeader 1",
    "accountKeys bytes* 2",
    "recentBlockhash bytes 3",
    "instructions CompiledInstruction* 4",
    "versioned bool 5",
    "addressTableLookups MessageAddressTableLookup* 6",
  ],
  MessageHeader: [
    "numRequiredSignatures uint32 1",
    "numReadonlySignedAccounts uint32 2",
    "numReadonlyUnsignedAccounts uint32 3",
  ],
  MessageAddressTableLookup: ["accountKey bytes 1", "writableIndexes bytes 2", "readonlyIndexes bytes 3"],
  TransactionStatusMeta: [
    "err TransactionError 1",
    "fee uint64 2",
    "preBalances uint64* 3",
    "postBalances uint64* 4",
    "innerInstructions InnerInstructions* 5",
    "logMessages string* 6",
    "preTokenBalances TokenBalance* 7",
    "postTokenBalances TokenBalance* 8",
    "rewards Reward* 9",
    "loadedWritableAddresses bytes* 12",
    "loadedReadonlyAddresses bytes* 13",
    "returnData ReturnData 14",
    "computeUnitsConsumed uint64 16",
  ],
  TransactionError: ["err bytes 1"],
  InnerInstructions: ["index uint32 1", "instructions InnerInstruction* 2"],
  InnerInstruction: ["programIdIndex uint32 1", "accounts bytes 2", "data bytes 3", "stackHeight uint32 4"],
  CompiledInstruction: ["programIdIndex uint32 1", "accounts bytes 2", "data bytes 3"],
  TokenBalance: [
    "accountIndex uint32 1",
    "mint string 2",
    "uiTokenAmount UiTokenAmount 3",
    "owner string 4",
    "programId string 5",
  ],
  UiTokenAmount: ["uiAmount double 1", "decimals uint32 2", "amount string 3", "uiAmountString string 4"],
  ReturnData: ["programId bytes 1", "data bytes 2"],
  Reward: ["pubkey string 1", "lamports int64 2", "postBalance uint64 3", "rewardType int32 4", "commission string 5"],
  UnixTimestamp: ["timestamp int64 1"],
  BlockHeight: ["blockHeight uint64 1"],
};

/** Fields without which the extraction would fail; the lean schema has no others. */
const NEEDED = new Set([
  ...["transactions", "transaction", "meta", "signatures", "message", "accountKeys", "instructions", "programIdIndex"],
  ...["data", "err", "innerInstructions", "index", "logMessages", "loadedWritableAddresses", "loadedReadonlyAddresses"],
]);

export const SCHEMA: Schema = Object.fromEntries(
  Object.entries(FIELDS).map(([message, fields]) => [message, fields.map(parse)]),
);

export const LEAN_SCHEMA: Schema = Object.fromEntries(
  Object.entries(SCHEMA).map(([message, fields]) => [message, fields.filter((field) => NEEDED.has(field.name))]),
);

function parse(text: string): FieldSpec {
  const [name, type, id] = text.split(" ") as [string, string, string];
  return { name, id: Number(id), type: type.replace("*", ""), repeated: type.endsWith("*") };
}
