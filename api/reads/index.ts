/** What the rest of the API may know of reading. */
export { JoinedReads, type JoinedReadsOptions, pointOf } from "./joined-reads.ts";
export type { StoreReads } from "./store-reads.ts";
export type * from "./token-reads.ts";
