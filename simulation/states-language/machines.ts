import type { StateMachineName } from '../../shared/executions/executions.ts';
import adoptRecords from '../../state-machines/adopt-records.asl.json' with { type: 'json' };
import purgeVersion from '../../state-machines/purge-version.asl.json' with { type: 'json' };
import rotateKey from '../../state-machines/rotate-key.asl.json' with { type: 'json' };
import { type Machine, parseMachine } from './definition.ts';

/** The deployed state machines themselves. */
export const MACHINES = {
  'rotate-key': parseMachine(rotateKey),
  'purge-version': parseMachine(purgeVersion),
  'adopt-records': parseMachine(adoptRecords),
} satisfies Record<StateMachineName, Machine>;
