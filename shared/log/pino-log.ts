import { type DestinationStream, pino } from 'pino';
import type { Log, LogFields } from './log.ts';

const ALLOWED: readonly (keyof LogFields)[] = [
  'jobId',
  'tenant',
  'purpose',
  'keyId',
  'version',
  'recordSet',
  'round',
  'segment',
  'status',
  'code',
  'count',
  'step',
  'executionName',
  'stack',
];

/** JSON lines. Fields that are not on the allow-list are dropped, also where the types were bypassed. */
export function createPinoLog(
  destination: DestinationStream,
  level: 'info' | 'warn' | 'error' = 'info',
): Log {
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  const pick = (fields: LogFields = {}) =>
    Object.fromEntries(ALLOWED.flatMap((key) => (fields[key] === undefined ? [] : [[key, fields[key]]])));
  return {
    info: (message, fields) => logger.info(pick(fields), message),
    warn: (message, fields) => logger.warn(pick(fields), message),
    error: (message, fields) => logger.error(pick(fields), message),
  };
}
