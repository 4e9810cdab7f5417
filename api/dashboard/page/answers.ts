/** What the page reads of the API's answers, by their own names. */

export interface Ref {
  readonly slot: number;
  readonly hash: string;
}

export interface UnitAnswer {
  readonly unit: string;
  readonly stage: string;
  readonly node: string;
  readonly state: string;
  readonly position: Ref | null;
  readonly finalSlot: number;
  /** Unix seconds; 0 before the first block. */
  readonly blockTime: number;
  readonly lag: {
    readonly blocks: number | null;
    readonly seconds: number | null;
    readonly headSeconds: number | null;
  };
  /** Share of the last second at work. */
  readonly busy: number;
  readonly blocked: boolean;
  readonly ended: boolean;
  readonly metrics: Readonly<Record<string, number>>;
  readonly errors: readonly UnitError[];
  readonly details: Readonly<Record<string, unknown>>;
}

export interface UnitError {
  /** ms since the Unix epoch. */
  readonly at: number;
  readonly code: string;
  readonly message: string;
  /** What to do. */
  readonly hint?: string;
}

export interface StagesAnswer {
  /** ms since the Unix epoch. */
  readonly at: number;
  readonly source: string;
  readonly wanted: boolean;
  readonly running: boolean;
  /** ms. */
  readonly uptime: number;
  readonly lastBlock: number;
  readonly totalBlocks: number;
  readonly limiter: { readonly stage: string; readonly unit: string | null; readonly reason: string };
  readonly units: readonly UnitAnswer[];
  readonly nodes: readonly { readonly node: string; readonly at: number; readonly rssBytes: number }[];
}

/** Of `/api/indexer/status`: `sources` only where there are several. */
export interface StatusAnswer {
  readonly sources?: readonly { readonly source: string }[];
}

export interface HealthAnswer {
  readonly status: "healthy" | "degraded" | "unhealthy";
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
    readonly since: number;
  }[];
}

/** What every answer about tokens says of itself. */
export interface Standing {
  readonly final_up_to: number;
  readonly as_of: Ref | null;
  readonly source: string;
}

export interface Listed<T> extends Standing {
  readonly data: readonly T[];
  readonly next_cursor: string | null;
}

export interface One<T> extends Standing {
  readonly data: T;
}

export interface MintAnswer {
  readonly mint: string;
  readonly name: string | null;
  readonly symbol: string | null;
  readonly created_by: string | null;
  readonly created_at: number | null;
  readonly first_slot: number;
  readonly price: string | null;
  readonly latest_trade_at: number | null;
  readonly swap_fee: number | null;
  readonly borrow_fee: number | null;
  readonly curve_account: string | null;
  readonly total_sol_amount: string;
  readonly total_margin_sol_amount: string;
  readonly total_force_liquidations: string;
  readonly total_close_profit: string;
}

export interface RankedAnswer extends MintAnswer {
  readonly trades_1h: number;
  readonly volume_24h: string;
}

export interface TradeAnswer {
  readonly slot: number;
  readonly time: number;
  readonly tx_index: number;
  readonly event_index: number;
  readonly signature: string;
  readonly kind: string;
  readonly user: string;
  readonly is_buy: boolean | null;
  readonly base_amount: string | null;
  readonly quote_amount: string | null;
  readonly price: string;
}

export interface OrderAnswer {
  readonly order: string;
  readonly user: string;
  readonly side: "long" | "short";
  readonly start_price: string;
  readonly end_price: string;
  readonly locked_sol: string;
  readonly margin_sol: string;
  readonly opened_at: number;
  readonly due_at: number;
}

/** start, open, high, low, close, volume, trades. */
export type CandleRow = readonly [number, number, number, number, number, number, number];

export interface CandlesAnswer {
  readonly interval: string;
  readonly rows: readonly CandleRow[];
  readonly final_time: number | null;
  readonly next_to: number | null;
}

export interface LakeAnswer {
  readonly data: {
    readonly head: { readonly entry: number } | null;
    readonly datasets: readonly LakeDataset[];
  } | null;
}

export interface LakeDataset {
  readonly dataset: string;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  readonly from_time: number | null;
  readonly to_time: number | null;
  readonly covered_slots: number;
  readonly range_count: number;
  readonly ranges: readonly (readonly [number, number])[];
}

export interface QuarantineAnswer {
  readonly data: readonly {
    readonly slot: number;
    readonly time: number;
    readonly signature: string;
    readonly instruction_path: string;
    readonly ordinal: number;
    readonly reason: string;
    readonly detail: string;
    readonly payload_bytes: number;
    readonly payload_start: string;
  }[];
}
