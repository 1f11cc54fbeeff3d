import { expect, it } from 'vitest';
import { summaryOf } from '../../scripts/commands/doctor.ts';

const of = (...statuses: readonly ('ok' | 'warning' | 'failed' | 'skipped')[]) =>
  summaryOf(statuses.map((status) => ({ status })));

it.each([
  [of('ok', 'skipped'), 'Nothing is wrong.'],
  [of('ok', 'warning'), 'Nothing failed, 1 warning.'],
  [of('warning', 'ok', 'warning'), 'Nothing failed, 2 warnings.'],
  [of('failed', 'ok'), '1 check failed.'],
  [of('failed', 'warning', 'failed'), '2 checks failed, 1 warning.'],
])('the last line of doctor counts what was found: %s', (line, expected) => {
  expect(line).toBe(expected);
});
