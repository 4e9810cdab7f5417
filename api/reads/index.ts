/** What the rest of the API may know of reading. */
export { pointOf } from "../../storage/hot/reader.ts";
export { JoinedReads, type JoinedReadsOptions } from "./joined-reads.ts";
export type { StoreReads } from "./store-reads.ts";
export type * from "./token-reads.ts";
