/** Blocks out of the responses that the simulator writes, for tests and benchmarks. */
import type { BlockMeta } from "../../pipeline/position.ts";
import { bytesTag, ProtobufReader, varintTag } from "./protobuf-reader.ts";

/** Reads the parts of a BlockScopedData response that make a block: field numbers from sf.substreams.rpc.v2. */
export function readBlock(response: Uint8Array): { block: BlockMeta; payload: Uint8Array } {
  const found = { slot: 0, time: 0, hash: "", payload: new Uint8Array(0) as Uint8Array };
  const reader = new ProtobufReader();
  reader.reset(response);
  /** Enters field after field of a path; `visit` gets the tag and must read or skip. */
  const message = (visit: (tag: number) => void) => {
    const outer = reader.open();
    for (let tag = reader.tag(); tag !== 0; tag = reader.tag()) visit(tag);
    reader.close(outer);
  };
  const bytes = () => {
    const end = reader.value();
    const value = response.subarray(reader.pos, end);
    reader.pos = end;
    return value;
  };
  const any = (tag: number) => (tag === bytesTag(2) ? void (found.payload = bytes()) : reader.skip(tag));
  const output = (tag: number) => (tag === bytesTag(2) ? message(any) : reader.skip(tag));
  const timestamp = (tag: number) => (tag === varintTag(1) ? void (found.time = reader.varint()) : reader.skip(tag));
  const clock = (tag: number) => {
    if (tag === bytesTag(1)) found.hash = new TextDecoder().decode(bytes());
    else if (tag === varintTag(2)) found.slot = reader.varint();
    else if (tag === bytesTag(3)) message(timestamp);
    else reader.skip(tag);
  };
  reader.tag();
  message((tag) => {
    if (tag === bytesTag(1)) message(output);
    else if (tag === bytesTag(2)) message(clock);
    else reader.skip(tag);
  });
  const { slot, hash, time, payload } = found;
  return { block: { slot, hash, time, cursor: "", finalSlot: 0 }, payload };
}
