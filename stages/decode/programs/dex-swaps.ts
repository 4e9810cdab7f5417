/**
 * Swaps of all DEXs as Pinax's `dex_swaps` package tells them: `dex.swaps.v1.Events`, whose addresses are bytes. It names no
 * instruction, so a swap is known by its place in the transaction; and no decimals, so those of launchpads are taken. Some of its
 * versions tell who reports a swap (`program_id`) apart from who did it (`amm`): an aggregator's report has the pool's program there. Others leave open whose report it
 * is: `amm` is the pool's program in both, the aggregator's, or a name.
 * Source: github.com/pinax-network/substreams-svm, proto/v1/dex-swaps.proto and dex-swaps/src.
 */
import { type MessageType, proto3, ScalarType } from "@bufbuild/protobuf";
import type { MapSpec } from "../map/map-spec.ts";
import { messageOf, resolvePath } from "../map/message-path.ts";
import { JUPITER_V6 } from "./jupiter.ts";

const scalar = (no: number, name: string, T: ScalarType, more: object = {}) =>
  ({ no, name, kind: "scalar", T, ...more }) as const;
const { BYTES, UINT64 } = ScalarType;

const Swap = proto3.makeMessageType("dex.swaps.v1.Swap", () => [
  scalar(1, "amm", BYTES),
  scalar(2, "amm_pool", BYTES),
  scalar(3, "user", BYTES),
  scalar(4, "input_mint", BYTES),
  scalar(5, "input_amount", UINT64),
  scalar(6, "output_mint", BYTES),
  scalar(7, "output_amount", UINT64),
]);

const Transaction = proto3.makeMessageType("dex.swaps.v1.Transaction", () => [
  scalar(1, "signature", BYTES),
  scalar(2, "fee_payer", BYTES),
  scalar(3, "signers", BYTES, { repeated: true }),
  scalar(4, "fee", UINT64),
  scalar(5, "compute_units_consumed", UINT64),
  { no: 6, name: "swaps", kind: "message", T: Swap, repeated: true },
]);

const Events = proto3.makeMessageType("dex.swaps.v1.Events", () => [
  { no: 1, name: "transactions", kind: "message", T: Transaction, repeated: true },
]);

/** Programs that route swaps to pools, which then report them as well. */
const AGGREGATORS = [
  JUPITER_V6.programId,
  "JUP4Fb2cqiRUcaTHdrPC8h2gNsA2ETXiPDD33WcGuJB", // Jupiter v4
  "6m2CDdhRgxpH4WjvdzxAYbGxwdGUz5MziiL5jek2kBma", // OKX
];

const ROWS = "transactions.swaps";

/** The mapping, on the type as a package describes it. Throws `Fatal` MAP_PATH for one that is not of this kind. */
export function dexSwaps(type: MessageType = Events): MapSpec {
  const swap = messageOf(resolvePath(type, ROWS, "maps dex_swaps").at(-1)!.field);
  const reporter = swap?.fields.list().some((field) => field.name === "program_id") === true ? "program_id" : "amm";
  return {
    type,
    datasets: [
      {
        dataset: "dex_swap",
        doc: "Swaps of all DEXs.",
        rows: ROWS,
        parents: ["transactions.fee_payer", "transactions.fee", "transactions.compute_units_consumed"],
        signature: "transactions.signature",
        program: reporter,
        mint: { of: ["input_mint", "output_mint"], rule: "token" },
        trade: {
          user: "user",
          input: { mint: "input_mint", amount: "input_amount" },
          output: { mint: "output_mint", amount: "output_amount" },
          decimals: 6,
          venue: reporter,
          aggregators: AGGREGATORS,
          ...(reporter === "amm" ? { unattributed: true } : {}),
        },
      },
    ],
  };
}
