import { type DestinationStream, pino } from 'pino';
import { type Log, pickLogFields } from './log.ts';

/** JSON lines. Fields that are not on the allow-list are dropped. */
export function createPinoLog(
  destination: DestinationStream,
  level: 'info' | 'warn' | 'error' = 'info',
): Log {
  const logger = pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return {
    info: (message, fields) => logger.info(pickLogFields(fields), message),
    warn: (message, fields) => logger.warn(pickLogFields(fields), message),
    error: (message, fields) => logger.error(pickLogFields(fields), message),
  };
}
