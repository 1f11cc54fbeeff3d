import fc from 'fast-check';
import { numberOf } from '../../../simulation/dice.ts';

/** What tasks do in a run: outputs that lead through every loop, and every kind of error, at times that are all different. */

export const JOB = '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11';

/** `hang`: it never answers. */
export type Act = { readonly output: unknown } | { readonly error: string } | 'hang';

export interface Behaviour {
  readonly seed: number;
  /** Of each visit of PlanSweep and BeginPurge. */
  readonly segments: readonly number[];
  /** What the calls of a state do, in their order; afterwards it says what leads on. Inner states': of each item. */
  readonly acts: ReadonlyMap<string, readonly Act[]>;
  /** Of a random number: which part of its span. */
  readonly luck: number;
}

const seconds = fc.oneof(fc.constantFrom(0, 1, 60), fc.integer({ min: 0, max: 40_000 }));
const hang: Act = 'hang';
/** Retried 8 times, or 3; more often is for good. */
const passing = fc
  .tuple(
    fc.constantFrom<Act>(
      { error: 'TransientError' },
      { error: 'Lambda.Unknown' },
      { error: 'Lambda.TooManyRequestsException' },
      { error: 'Sandbox.Timedout' },
      { error: 'Runtime.ExitError' },
      hang,
    ),
    fc.constantFrom(1, 2, 3, 4, 8, 9),
  )
  .map(([act, times]): readonly Act[] => Array<Act>(times).fill(act));
const lasting = fc
  .constantFrom('PermanentError', 'JobPaused', 'TypeError', 'Lambda.ResourceNotFoundException')
  .map((error): readonly Act[] => [{ error }]);
const failing = fc.oneof({ weight: 5, arbitrary: passing }, { weight: 1, arbitrary: lasting });

const OUTPUTS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  CheckSweep: seconds.map((waitSeconds) => ({ swept: false, waitSeconds })),
  CheckBarrier: fc
    .tuple(seconds, fc.constantFrom({}, {}, {}, { blocked: false }, { blocked: true }))
    .map(([waitSeconds, more]) => ({ passed: false, waitSeconds, ...more })),
  ListSegment: seconds.map((waitSeconds) => ({ done: false, waitSeconds, queued: 7 })),
  ConcludeRound: fc.constantFrom('SWEEP_AGAIN', 'SWEEP_AGAIN', 'BLOCKED').map((outcome) => ({ outcome })),
  ConcludeAdoption: fc.constantFrom('SWEEP_AGAIN', 'SWEEP_AGAIN', 'BLOCKED').map((outcome) => ({ outcome })),
  DestroyVersion: fc.constant({ destroyed: false }),
  StopJob: fc.constantFrom({ paused: true }, { paused: false }, {}),
};

function actsOf(state: string): fc.Arbitrary<readonly Act[]> {
  const outputs = OUTPUTS[state];
  const parts =
    outputs === undefined
      ? [failing]
      : [{ weight: 2, arbitrary: outputs.map((output): readonly Act[] => [{ output }]) }, failing];
  return fc.array(fc.oneof(...parts), { maxLength: 4 }).map((several) => several.flat());
}

export function behaviourOf(states: readonly string[]): fc.Arbitrary<Behaviour> {
  return fc.record({
    seed: fc.nat(),
    segments: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 3 }),
    luck: fc.double({ min: 0, max: 0.999_999, noNaN: true }),
    // Most states do what they should, so that most of a machine is seen.
    acts: fc
      .tuple(...states.map((state) => fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, actsOf(state))))
      .map((all) => new Map(all.map((acts, i) => [states[i] ?? '', acts] as const))),
  });
}

/** Says of each call when it ends, and how. */
export function createPlayer({ seed, segments, acts }: Behaviour) {
  const counts = new Map<string, number>();
  return (state: string, input: unknown): { readonly after: number; readonly act: Act } => {
    const key = `${state} ${itemOf(input)}`;
    const call = counts.get(key) ?? 0;
    counts.set(key, call + 1);
    // No two calls end at one time: which would be first is for neither engine to say.
    const after = 1 + ((numberOf(seed, `${key} ${call}`) >>> 0) / 2 ** 32) * 58_000;
    const act = acts.get(state)?.[call];
    if (act === undefined)
      return { after, act: { output: leadOn(state, segments[Math.min(call, segments.length - 1)] ?? 0) } };
    const lists = state === 'ListSegment' && act !== 'hang' && 'output' in act;
    return { after, act: lists ? { output: { ...Object(input), ...Object(act.output) } } : act };
  };
}

/** The item that a call is for, whatever else a lister's own answer has put there. */
function itemOf(input: unknown): string {
  return typeof input === 'object' && input !== null && 'segment' in input ? String(input.segment) : '';
}

function leadOn(state: string, segments: number): unknown {
  switch (state) {
    case 'PlanSweep':
    case 'BeginPurge':
      return {
        round: 1,
        segments: Array.from({ length: segments }, (_, segment) => ({ jobId: JOB, round: 1, segment })),
      };
    case 'CheckSweep':
      return { swept: true, waitSeconds: 0 };
    case 'CheckBarrier':
      return { passed: true, waitSeconds: 0 };
    case 'ListSegment':
      return { done: true };
    case 'ConcludeRound':
    case 'ConcludeAdoption':
      return { outcome: 'CLEAN' };
    case 'DestroyVersion':
      return { destroyed: true };
    default:
      return null;
  }
}
