/** The lake as the archive sees it: the sink that it commits to, and what goes on beside it. */
import type { LakeCopies } from "./copies.ts";
import type { LakeSink } from "./sink.ts";
import type { SpoolStatus } from "./spool.ts";

export interface LakeOutput {
  readonly sink: LakeSink;
  /** Brings commits to the bucket; null where the lake is a folder of this host, and a commit is in it at once. */
  readonly shipping: Shipping | null;
  /** What this host keeps of the bucket's files; null where the lake is a folder. */
  readonly copies: LakeCopies | null;
}

export interface Shipping {
  /** To be run beside the sink's runner, from after `sink.open()` or before it, until that ends. */
  ship(signal: AbortSignal): Promise<void>;
  status(): SpoolStatus;
  /** All is in the bucket, and nothing will follow: leaves nothing on this host. */
  remove(): Promise<void>;
}
