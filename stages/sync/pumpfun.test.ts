/** Goal: a token created on pump.fun is listed under its name. Method: both layouts of the event, decoded and applied. */
import { expect, test } from "bun:test";
import bs58 from "bs58";
import { concat, encodeTransactions, keyOf, littleEndian } from "../decode/block-fixture.ts";
import { discriminatorOf } from "../decode/program-decoder.ts";
import { PUMPFUN } from "../decode/programs/pumpfun.ts";
import { DecodeStage } from "../decode/stage.ts";
import { batchOf } from "../decode/stage-fixture.ts";
import { MapState } from "./lane-fixture.ts";
import { LaneStage } from "./lane-stage.ts";
import { PUMPFUN_EFFECTS } from "./pumpfun.ts";

const text = (value: string) => concat([littleEndian(BigInt(value.length), 4), new TextEncoder().encode(value)]);
const naming = concat([...["Hello", "HLO", "https://h"].map(text), keyOf(1), keyOf(2), keyOf(3)]);

test.each([
  ["the early one", naming, keyOf(3)],
  ["the later one", concat([naming, keyOf(4), new Uint8Array(40)]), keyOf(4)],
])("%s", (_, body, creator) => {
  const data = concat([Buffer.from("e445a52e51cb9a1d", "hex"), discriminatorOf({ name: "CreateEvent" }, "test"), body]);
  const payload = encodeTransactions([
    {
      keys: [keyOf(9), bs58.decode(PUMPFUN.programId)],
      instructions: [{ program: 1, data: new Uint8Array(8) }],
      inner: [{ index: 0, instructions: [{ program: 1, data, height: 2 }] }],
    },
  ]);
  const state = new MapState();
  new LaneStage(state, PUMPFUN_EFFECTS).apply(new DecodeStage({ programs: [PUMPFUN] }).apply(batchOf([payload])));
  const told = { name: "Hello", symbol: "HLO", uri: "https://h", created_by: creator, curve_account: keyOf(2) };
  expect(state.mint()).toMatchObject({ mint: keyOf(1), ...told });
});
