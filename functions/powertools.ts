import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import { Tracer } from '@aws-lambda-powertools/tracer';
import { captureLambdaHandler } from '@aws-lambda-powertools/tracer/middleware';
import middy from '@middy/core';
import type { Context } from 'aws-lambda';
import { type Composition, composeFromEnvironment, type Instrument } from '../shared/deps/compose.ts';
import type { Need } from '../shared/deps/needs.ts';
import type { Log } from '../shared/log/log.ts';
import { createPowertoolsLog } from '../shared/log/powertools-log.ts';
import { createPowertoolsMetrics } from '../shared/metrics/powertools-metrics.ts';
import { type CreateHandler, type Handler, JobPaused, TransientError, translate } from './lambda.ts';

/** What a function brings along that others have no use for. */
export type More = Pick<Composition, 'openArchive'>;

/**
 * What a function runs on in Lambda: dependencies by its needs, made at the first call and kept; a log, metrics and
 * traces by AWS Lambda Powertools. No event, result or error text is logged or traced: they are other people's.
 */
export function runWithPowertools<Output>(
  create: CreateHandler<Output>,
  needs: readonly Need[],
  more: More = {},
): Handler<Output> {
  const logger = new Logger();
  // Calls of AWS are traced by the clients themselves.
  const tracer = new QuietTracer({ captureHTTPsRequests: false });
  const { metrics, publisher } = createPowertoolsMetrics();
  const log = createPowertoolsLog(logger);
  const instrument: Instrument = (client) => tracer.captureAWSv3Client(client);

  const actor = `function:${process.env['AWS_LAMBDA_FUNCTION_NAME'] ?? 'unknown'}`;

  let started: Promise<Handler<Output>> | undefined;
  const start = async () =>
    create(await composeFromEnvironment(process.env, needs, { ...more, log, metrics, instrument, actor }));

  const run: Handler<Output> = async (event, context) => {
    try {
      started ??= start();
      const handler = await started.catch((error: unknown) => {
        // The next call tries again.
        started = undefined;
        throw error;
      });
      return await handler(event, context);
    } catch (error) {
      throw report(log, translate(error));
    }
  };

  // An early answer to a timeout would leave the work running beside the next call: Lambda's own ends the process.
  const handler = middy<unknown, Output>(run, { timeoutEarlyInMillis: 0 })
    .use(captureLambdaHandler(tracer, { captureResponse: false }))
    .use(injectLambdaContext(logger, { logEvent: false }))
    .use(logMetrics(publisher));
  // Lambda gives the whole context; the functions ask for a part of it.
  return (event, context) => handler(event, context as Context);
}

/** An error marks its segment; its text stays out. */
class QuietTracer extends Tracer {
  override addErrorAsMetadata(): void {
    this.getSegment()?.addErrorFlag();
  }
}

/** Lambda writes an error with its cause and stack to its log: what leaves has neither. */
function report(log: Log, error: Error): Error {
  const [code = ''] = error.message.split(':', 1);
  const at = framesOf(error.cause);
  // The state machine tries a transient one again, and ends in peace on a paused job.
  const level = error instanceof JobPaused ? 'info' : error instanceof TransientError ? 'warn' : 'error';
  log[level]('failed', { code, status: error.name, ...(at !== '' && { stack: at }) });
  error.cause = undefined;
  error.stack = `${error.name}: ${error.message}`;
  return error;
}

const FRAME = /^ {4}at [^@]*:\d+:\d+\)?$/;

/** Where an error was thrown, without its text: what follows the message, and looks like a place in a file. */
function framesOf(error: unknown): string {
  if (!(error instanceof Error) || error.stack === undefined) return '';
  const text = error.stack.lastIndexOf(error.message);
  const lines = error.stack.slice(Math.max(text, 0) + error.message.length).split('\n');
  return lines.filter((line) => FRAME.test(line)).join('\n');
}
