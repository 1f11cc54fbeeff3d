/** One measured figure of `npm run bench`. */
export interface BenchFigure {
  /** Which target of docs/performance.md it belongs to. */
  readonly target: 1 | 2 | 3 | 4 | 5 | 6;
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** `value` to its bound, measured in the same run. */
  readonly ratio?: number;
  /** What the ratio is to. */
  readonly bound?: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Counted, not timed: it decides in the short form too. */
  readonly counted?: boolean;
  /** Absent for a figure without a target. */
  readonly met?: boolean;
}
