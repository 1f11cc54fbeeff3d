import type { Need } from '../shared/deps/needs.ts';
import { needs as activateVersion } from './activate-version/index.ts';
import { needs as beginPurge } from './begin-purge/index.ts';
import { needs as checkBarrier } from './check-barrier/index.ts';
import { needs as checkSweep } from './check-sweep/index.ts';
import { needs as concludeAdoption } from './conclude-adoption/index.ts';
import { needs as concludeRound } from './conclude-round/index.ts';
import { needs as createVersion } from './create-version/index.ts';
import { needs as destroyVersion } from './destroy-version/index.ts';
import { needs as exportAudit } from './export-audit/index.ts';
import { needs as kmsEvent } from './kms-event/index.ts';
import { needs as listSegment } from './list-segment/index.ts';
import { needs as monitor } from './monitor/index.ts';
import { needs as planSweep } from './plan-sweep/index.ts';
import { needs as processChunk } from './process-chunk/index.ts';
import { needs as proveVersion } from './prove-version/index.ts';
import { needs as retireVersion } from './retire-version/index.ts';
import { needs as rotationRequest } from './rotation-request/index.ts';
import { needs as stopJob } from './stop-job/index.ts';
import { needs as sweep } from './sweep/index.ts';
import { needs as takeCensus } from './take-census/index.ts';

/** What each function may reach, by its folder's name. The rights of its IAM role are checked against this. */
export const FUNCTION_NEEDS = {
  'activate-version': activateVersion,
  'begin-purge': beginPurge,
  'check-barrier': checkBarrier,
  'check-sweep': checkSweep,
  'conclude-adoption': concludeAdoption,
  'conclude-round': concludeRound,
  'create-version': createVersion,
  'destroy-version': destroyVersion,
  'export-audit': exportAudit,
  'kms-event': kmsEvent,
  'list-segment': listSegment,
  monitor,
  'plan-sweep': planSweep,
  'process-chunk': processChunk,
  'prove-version': proveVersion,
  'retire-version': retireVersion,
  'rotation-request': rotationRequest,
  'stop-job': stopJob,
  sweep,
  'take-census': takeCensus,
} as const satisfies Record<string, readonly Need[]>;

/** A function's folder is named after the state that calls it. */
export function folderOf(state: string): string {
  return state.replaceAll(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase();
}

/** Of the function that a state calls. */
export function needsOfState(state: string): readonly Need[] {
  const folder = folderOf(state);
  return Object.entries<readonly Need[]>(FUNCTION_NEEDS).find(([name]) => name === folder)?.[1] ?? [];
}
