import type { Logger } from '@aws-lambda-powertools/logger';
import { type Log, pickLogFields } from './log.ts';

/**
 * The log of a Lambda. Powertools adds service, function, request id, cold start and trace id to each line; of what the
 * code gives, only the allow-list leaves.
 */
export function createPowertoolsLog(logger: Logger): Log {
  return {
    info: (message, fields) => logger.info(message, pickLogFields(fields)),
    warn: (message, fields) => logger.warn(message, pickLogFields(fields)),
    error: (message, fields) => logger.error(message, pickLogFields(fields)),
  };
}
