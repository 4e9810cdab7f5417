/** Transactions that have nothing to do with the program: most of any real block. */
import { Account } from "./accounts.ts";
import { exchangeCall, voteCall } from "./calls.ts";
import { type Draft, writeTransaction } from "./message.ts";
import type { Rates } from "./profiles.ts";
import type { ProtoWriter } from "./protobuf.ts";
import { Random } from "./random.ts";

const VOTERS = Array.from({ length: 24 }, (_, i) => {
  const random = new Random(0, "noise", i);
  return { voter: new Account(random.bytes(32)), account: new Account(random.bytes(32)) };
});

/** Votes and foreign trades of one block, each written as field `field`; returns how many. */
export function writeNoise(
  out: ProtoWriter,
  field: number,
  options: {
    rates: Rates;
    seed: number;
    /** Number of the block, delivered or not, forked or not. */
    serial: number;
    recentBlockhash: Uint8Array;
  },
): number {
  const { rates, serial, recentBlockhash } = options;
  const random = new Random(options.seed, "noise", 1_000 + serial);
  const votes = random.int(rates.votes * 2 + 1);
  const trades = random.int(rates.foreign * 2 + 1);
  for (let i = 0; i < votes; i++) {
    const { voter, account } = random.pick(VOTERS);
    writeForeign(
      out,
      field,
      draft({ payer: voter, other: account, call: voteCall(voter, account, random), random, recentBlockhash }),
      random,
    );
  }
  for (let i = 0; i < trades; i++) {
    const payer = random.pick(VOTERS).voter;
    const other = new Account(random.bytes(32));
    const call = exchangeCall(payer, [other], random.bytes(random.between(24, 160)));
    writeForeign(out, field, draft({ payer, other, call, random, recentBlockhash }), random);
  }
  return votes + trades;
}

function writeForeign(out: ProtoWriter, field: number, foreign: Draft, random: Random): void {
  writeTransaction(out, field, foreign, random);
}

function draft(options: {
  payer: Account;
  other: Account;
  call: Draft["calls"][number];
  random: Random;
  recentBlockhash: Uint8Array;
}): Draft {
  return {
    signatures: [options.random.bytes(64)],
    signers: [options.payer],
    recentBlockhash: options.recentBlockhash,
    calls: [options.call],
    versioned: false,
    unitLimit: 200_000,
    feeLamports: 5_000,
    payment: 0,
    counterparty: options.other,
    tokenMoves: [],
  };
}
