import { z } from 'zod';
import rulesFile from '../events/rules.json' with { type: 'json' };
import schedulesFile from '../events/schedules.json' with { type: 'json' };
import { EVENT_FUNCTIONS, type EventFunctionName } from '../functions/index.ts';
import { eventPatternSchema } from './event-pattern.ts';

/** events/rules.json and events/schedules.json, checked: the very files that the deployment reads. */

const functionName = z.custom<EventFunctionName>(
  (name) => typeof name === 'string' && Object.hasOwn(EVENT_FUNCTIONS, name),
  'is no function of functions/index.ts',
);

const rulesSchema = z.record(
  z.string(),
  z.strictObject({
    /** default: where AWS services put their events. keyturn: the custom bus. */
    bus: z.enum(['default', 'keyturn']),
    function: functionName,
    pattern: eventPatternSchema,
  }),
);

const scheduleSchema = z.strictObject({
  function: functionName,
  /** What the function gets. Left out: in AWS Scheduler's own, on one machine {}; then it is not looked at. */
  input: z.record(z.string(), z.unknown()).optional(),
  /** As EventBridge Scheduler takes it. */
  expression: z.string().regex(/^(cron|rate)\(.+\)$/),
  timezone: z.string().min(1),
  /** 0: exactly then. */
  flexibleWindowMinutes: z.int().min(0).max(1440),
  retries: z.int().min(0).max(185),
  maxEventAgeSeconds: z.int().min(60).max(86_400),
});

export type EventRules = z.infer<typeof rulesSchema>;
export type ScheduleName = keyof typeof schedulesFile;

export function parseRules(rules: unknown): EventRules {
  return rulesSchema.parse(rules);
}

export const RULES: EventRules = parseRules(rulesFile);
export const SCHEDULES: Readonly<Record<ScheduleName, z.infer<typeof scheduleSchema>>> = z
  .strictObject({
    sweep: scheduleSchema,
    monitor: scheduleSchema,
    'root-keys': scheduleSchema,
    'export-audit': scheduleSchema,
  } satisfies Record<ScheduleName, z.ZodType>)
  .parse(schedulesFile);
