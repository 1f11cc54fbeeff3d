/** Time, passed in. The domain reads no other clock. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds that never go back, from no special moment. */
  monotonic(): number;
  /** Resolves after that many milliseconds; rejects with the signal's reason when aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** Makes ids: UUIDv7 (RFC 9562, section 5.7), canonical lower-case text. */
export type NewId = () => string;
