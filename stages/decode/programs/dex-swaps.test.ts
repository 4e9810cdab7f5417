/** Goal: swaps of Pinax's package become rows and trades, each swap once. Method: its messages, written by the protobuf library. */
import { describe, expect, test } from "bun:test";
import type { Message, MessageType, PartialMessage } from "@bufbuild/protobuf";
import bs58 from "bs58";
import { WRAPPED_SOL } from "../address-source.ts";
import type { MapSpec } from "../map/map-spec.ts";
import { DecodeStage } from "../stage.ts";
import { batchOf, type Rows, rowsOf } from "../stage-fixture.ts";
import { dexSwaps } from "./dex-swaps.ts";

const MAP = dexSwaps();

function decode(map: MapSpec, output: Uint8Array): { rows: Rows } {
  const stage = new DecodeStage({ programs: [], maps: [map] });
  return { rows: rowsOf(stage.apply(batchOf([output], map.type.typeName))) };
}

describe("dex.swaps.v1", () => {
  const sol = bs58.decode(WRAPPED_SOL);
  const [token, other, user, pool] = [1, 2, 3, 4].map((n) => new Uint8Array(32).fill(n)) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const jupiter = bs58.decode("JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4");
  const swap = (amm: Uint8Array, input: Uint8Array, paid: bigint, out: Uint8Array, got: bigint) => ({
    ...{ amm, ammPool: pool, user, inputMint: input, inputAmount: paid, outputMint: out, outputAmount: got },
  });
  const Events = MAP.type as MessageType<Message> & { new (data?: object): Message };
  const events = (...transactions: object[]) => new Events({ transactions } as PartialMessage<Message>).toBinary();

  test("SOL that is not wrapped is SOL", () => {
    const native = bs58.decode("So11111111111111111111111111111111111111111");
    const swaps = [swap(pool, token, 5n, native, 6n), swap(pool, native, 1n, sol, 1n)];
    const { rows } = decode(MAP, events({ signature: new Uint8Array(64).fill(8), feePayer: user, swaps }));
    expect(rows["dex_swap"]![0]).toMatchObject({ mint: token });
    expect(rows["trades"]).toMatchObject([{ mint: token, is_buy: false, base_amount: 5n, quote_amount: 6n }]);
  });

  test("swaps against SOL are trades; what an aggregator repeats counts once, per transaction", () => {
    const [a, b] = [new Uint8Array(64).fill(8), new Uint8Array(64).fill(9)];
    const bytes = events(
      {
        signature: a,
        feePayer: user,
        fee: 5000n,
        swaps: [
          swap(pool, sol, 9n * 10n ** 9n, token, 3_000_000n),
          swap(jupiter, sol, 9n * 10n ** 9n, token, 3_000_000n),
          swap(pool, token, 5n, other, 6n),
        ],
      },
      { signature: b, feePayer: user, swaps: [swap(jupiter, token, 3_000_000n, sol, (2n * 10n ** 64n) % 2n ** 64n)] },
    );
    const { rows } = decode(MAP, bytes);
    expect(rows["dex_swap"]!.map((row) => [row["tx_index"], row["ordinal"], row["mint"]])).toEqual([
      [0, 0, token],
      [0, 1, token],
      [0, 2, other],
      [1, 0, token],
    ]);
    expect(
      rows["trades"]!.map((row) => [row["tx_index"], row["event_index"], row["is_buy"], row["base_amount"]]),
    ).toEqual([
      [0, 0, true, 3_000_000n],
      [1, 0, false, 3_000_000n],
    ]);
    expect(rows["trades"]![0]).toMatchObject({
      price: 3n * 10n ** 28n,
      user,
      mint: token,
      signature: a,
      kind: "dex_swap",
    });
    expect(rows["dex_swap"]![0]).toMatchObject({ program: pool, fee: 5000n, input_amount: 9n * 10n ** 9n });
  });

  test.each([
    ["token", [other]],
    ["first", [token]],
    ["second", [other]],
    ["both", [token, other]],
  ] as const)("a row that touches two tokens, rule %s", (rule, mints) => {
    const [dataset] = MAP.datasets;
    const spec: MapSpec = {
      type: Events,
      datasets: [{ ...dataset!, mint: { of: ["input_mint", "output_mint"], rule } }],
    };
    const { rows } = decode(spec, events({ signature: new Uint8Array(64), swaps: [swap(pool, token, 5n, other, 6n)] }));
    expect(rows["dex_swap"]!.map((row) => row["mint"])).toEqual([...mints]);
    expect(new Set(rows["dex_swap"]!.map((row) => row["ordinal"])).size).toBe(mints.length);
  });
});
