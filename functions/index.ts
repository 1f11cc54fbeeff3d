import { create as activateVersion } from './activate-version/index.ts';
import { create as beginPurge } from './begin-purge/index.ts';
import { create as checkBarrier } from './check-barrier/index.ts';
import { create as checkSweep } from './check-sweep/index.ts';
import { create as concludeAdoption } from './conclude-adoption/index.ts';
import { create as concludeRound } from './conclude-round/index.ts';
import { create as createVersion } from './create-version/index.ts';
import { create as destroyVersion } from './destroy-version/index.ts';
import { create as exportAudit } from './export-audit/index.ts';
import { create as kmsEvent } from './kms-event/index.ts';
import type { CreateHandler } from './lambda.ts';
import { create as listSegment } from './list-segment/index.ts';
import { create as monitor } from './monitor/index.ts';
import { create as planSweep } from './plan-sweep/index.ts';
import { create as processChunk } from './process-chunk/index.ts';
import { create as proveVersion } from './prove-version/index.ts';
import { create as retireVersion } from './retire-version/index.ts';
import { create as rotationRequest } from './rotation-request/index.ts';
import { create as stopJob } from './stop-job/index.ts';
import { create as sweep } from './sweep/index.ts';
import { create as takeCensus } from './take-census/index.ts';

/** The functions that state machines call, by the name of the state that calls them. */
export const STATE_FUNCTIONS = {
  ActivateVersion: activateVersion,
  BeginPurge: beginPurge,
  CheckBarrier: checkBarrier,
  CheckSweep: checkSweep,
  ConcludeAdoption: concludeAdoption,
  ConcludeRound: concludeRound,
  CreateVersion: createVersion,
  DestroyVersion: destroyVersion,
  ListSegment: listSegment,
  PlanSweep: planSweep,
  ProveVersion: proveVersion,
  RetireVersion: retireVersion,
  StopJob: stopJob,
  TakeCensus: takeCensus,
} as const satisfies Record<string, CreateHandler<unknown>>;

/** The functions that a queue, a schedule or an event calls, by the name of their folder. */
export const EVENT_FUNCTIONS = {
  'export-audit': exportAudit,
  'kms-event': kmsEvent,
  monitor,
  'process-chunk': processChunk,
  'rotation-request': rotationRequest,
  sweep,
} as const satisfies Record<string, CreateHandler<unknown>>;

export type EventFunctionName = keyof typeof EVENT_FUNCTIONS;
