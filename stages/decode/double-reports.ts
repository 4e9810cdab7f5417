/**
 * A swap that an aggregator and its pool both report is one trade. Trades are written as they are found; when a transaction
 * ends, each aggregator's trade that a pool has reported as well is taken out. Matching is one to one: the pool named as venue first,
 * then any program that reports the same amount, both for the same token and side. Where reports do not say whose they are, two of the
 * same token, side and both amounts are one swap: a pool's price moves with each swap, so that two of their own are not equal.
 */

export interface ReportedTrade {
  /** Row in the table of trades. */
  readonly row: number;
  /** Address bytes as latin1. */
  readonly mint: string;
  readonly isBuy: boolean | null;
  readonly base: bigint | null;
  readonly program: string;
  /** For an aggregator's report the program it names, empty where it names none; null for a pool's own. */
  readonly venue: string | null;
  /** Of a report that does not say whose it is: what the token was swapped for. */
  readonly unattributedQuote?: bigint;
}

export class DoubleReports {
  /** Rows that are to be left out, ascending within a transaction. */
  readonly dropped = new Set<number>();
  private readonly reports: ReportedTrade[] = [];
  /** Of the reports at hand, those that another may tell as well. */
  private doubtful = 0;

  add(report: ReportedTrade): void {
    this.reports.push(report);
    if (report.venue !== null || report.unattributedQuote !== undefined) this.doubtful++;
  }

  endTransaction(): void {
    if (this.doubtful > 0 && this.reports.length > 1) this.match();
    this.reports.length = 0;
    this.doubtful = 0;
  }

  clear(): void {
    this.dropped.clear();
    this.reports.length = 0;
    this.doubtful = 0;
  }

  private match(): void {
    this.pairUnattributed();
    // Aggregators call each other: what one of them keeps stands for the others' report of the same swap.
    const told = this.reports.filter(({ row, venue }) => venue === null && !this.dropped.has(row));
    const claimed = new Set<ReportedTrade>();
    const open = this.reports.filter(({ venue }) => venue !== null);
    const drop = (rule: (report: ReportedTrade, other: ReportedTrade) => boolean) => {
      for (const report of open) {
        if (this.dropped.has(report.row)) continue;
        const other = told.find((o) => !claimed.has(o) && sameSide(report, o) && rule(report, o));
        if (other === undefined) continue;
        claimed.add(other);
        this.dropped.add(report.row);
      }
    };
    drop((report, other) => other.program === report.venue);
    drop((report, other) => report.base === other.base);
    const kept: ReportedTrade[] = [];
    for (const report of open) {
      if (this.dropped.has(report.row)) continue;
      const same = kept.find((k) => k.program !== report.program && sameSide(report, k) && report.base === k.base);
      if (same === undefined) kept.push(report);
      else {
        kept.splice(kept.indexOf(same), 1);
        this.dropped.add(report.row);
      }
    }
  }

  /** Two by two: a route through the same pool twice is told four times. The first of each pair stays. */
  private pairUnattributed(): void {
    const single: ReportedTrade[] = [];
    for (const report of this.reports) {
      if (report.venue !== null || report.unattributedQuote === undefined) continue;
      const first = single.findIndex((other) => sameSwap(report, other));
      if (first < 0) single.push(report);
      else {
        single.splice(first, 1);
        this.dropped.add(report.row);
      }
    }
  }
}

function sameSwap(a: ReportedTrade, b: ReportedTrade): boolean {
  return sameSide(a, b) && a.base === b.base && a.unattributedQuote === b.unattributedQuote;
}

function sameSide(a: ReportedTrade, b: ReportedTrade): boolean {
  return a.mint === b.mint && a.isBuy === b.isBuy;
}
