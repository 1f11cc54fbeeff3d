import { z } from 'zod';

/**
 * Event patterns, as far as events/rules.json uses them: a field has one of some texts. Everything else of EventBridge's
 * pattern language (prefix, exists, $or, numbers and so on) is refused when the rules are read, and not taken for
 * something that never matches. D/eventbridge/latest/userguide/eb-event-patterns.html
 */

export interface EventPattern {
  readonly [field: string]: readonly string[] | EventPattern;
}

const field = z.string().min(1).regex(/^[^$]/, 'operators are not supported here');
const texts = z.array(z.string('only texts are supported here')).min(1);

export const eventPatternSchema: z.ZodType<EventPattern> = z.lazy(() =>
  z
    .record(field, z.union([texts, eventPatternSchema]))
    .refine((pattern) => Object.keys(pattern).length > 0, 'is empty'),
);

/** Fields that the pattern does not name may be anything. A list in the event matches by any of its entries. */
export function matches(pattern: EventPattern, event: unknown): boolean {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return false;
  return Object.entries(pattern).every(([name, wanted]) => {
    const value: unknown = Object.hasOwn(event, name) ? Reflect.get(event, name) : undefined;
    if (!isTexts(wanted)) return matches(wanted, value);
    const found: readonly unknown[] = Array.isArray(value) ? value : [value];
    return found.some((one) => typeof one === 'string' && wanted.includes(one));
  });
}

function isTexts(wanted: readonly string[] | EventPattern): wanted is readonly string[] {
  return Array.isArray(wanted);
}
