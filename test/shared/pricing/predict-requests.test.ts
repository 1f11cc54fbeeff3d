import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  billedUnits,
  type PredictionSettings,
  predictRequests,
  type RecordSetLoad,
} from '../../../shared/pricing/predict-requests.ts';
import { PUBLIC_PRICES, priceOf } from '../../../shared/pricing/public-prices.ts';

const load = (records: number, changes: Partial<RecordSetLoad> = {}): RecordSetLoad => ({
  ...{ recordSet: 'people', type: 'postgres', rows: records, records, segments: 1 },
  ...changes,
});
const settings = (changes: Partial<PredictionSettings> = {}): PredictionSettings => ({
  ...{ chunkSize: 500, messagesPerCall: 4, workers: 20, sweepSeconds: null },
  ...changes,
});

describe('predicting the requests of a rotation', () => {
  it('says for a million records what was counted: docs/cost-and-scale.md', () => {
    const million = (type: RecordSetLoad['type']) => {
      const few = predictRequests([load(1_000_000, { type })], settings({ messagesPerCall: 10 }));
      const many = predictRequests([load(2_000_000, { type })], settings({ messagesPerCall: 10 }));
      return { few, many };
    };
    const { few, many } = million('postgres');
    expect(many.chunks - few.chunks).toBe(2_000);
    expect(many.sqs.sendBatches - few.sqs.sendBatches).toBe(200);
    expect(many.kms).toEqual(few.kms);
    expect(many.ledger.writes - few.ledger.writes).toBeLessThanOrEqual(600);
    const dynamodb = million('dynamodb');
    expect(dynamodb.many.dynamodb.updates - dynamodb.few.dynamodb.updates).toBe(1_000_000);
    expect(dynamodb.many.dynamodb.batchGets - dynamodb.few.dynamodb.batchGets).toBe(10_000);
    const { dollars } = priceOf(billedUnits(dynamodb.few));
    expect(dollars).toBeGreaterThan(0.7);
    expect(dollars).toBeLessThan(0.9);
    // The figures of the page.
    const page = readFileSync(new URL('../../../docs/cost-and-scale.md', import.meta.url), 'utf8');
    expect(page).toMatch(/\*\*DynamoDB, in all\*\* \| \*\*0\.80\*\*/);
    expect(page).toMatch(/SQS: messages sent \| 2,000 \| 2,000/);
  });

  it('never goes down when there is more to do, and asks KMS for no more', () => {
    fc.assert(
      fc.property(
        fc.nat(5_000_000),
        fc.nat(5_000_000),
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom('postgres', 'dynamodb'),
        (a, b, segments, type) => {
          const [small, large] = [Math.min(a, b), Math.max(a, b)].map((records) =>
            predictRequests([load(records, { segments, type })], settings()),
          );
          if (small === undefined || large === undefined) throw new Error('unreachable');
          expect(large.chunks).toBeGreaterThanOrEqual(small.chunks);
          expect(large.ledger.writes).toBeGreaterThanOrEqual(small.ledger.writes);
          expect(large.sqs.messages).toBe(large.chunks);
          expect(large.sqs.sendBatches).toBeGreaterThanOrEqual(segments);
          expect(large.kms.decrypt).toBeLessThanOrEqual(1 + 2 * 20);
          const cheap = priceOf(billedUnits(small)).dollars;
          expect(priceOf(billedUnits(large)).dollars).toBeGreaterThanOrEqual(cheap);
        },
      ),
    );
  });

  it('takes the looks of a long sweep into account: fewer the longer it takes', () => {
    const looks = (sweepSeconds: number | null) =>
      predictRequests([load(1)], settings({ sweepSeconds })).waitingLooks;
    expect([looks(null), looks(0), looks(1), looks(10)]).toEqual([0, 0, 1, 10]);
    expect(looks(86_400)).toBeLessThan(500);
    const { stepFunctions } = predictRequests([load(1)], settings({ sweepSeconds: 10 }));
    const { stepFunctions: none } = predictRequests([load(1)], settings());
    expect(stepFunctions.transitions - none.transitions).toBe(30);
  });

  it('counts the states that the state machine has', () => {
    const { states, segment } = happyPath();
    // And the wait for the barrier, with the look after it; the start of an execution is one, too.
    const { stepFunctions } = predictRequests([load(1, { segments: 3 })], settings());
    expect(stepFunctions.transitions).toBe(states + 3 + 1 + 3 * segment);
  });
});

describe('public prices', () => {
  it('have a unit, a region, a date and a source each', () => {
    for (const { unit, dollars, per, region, date, source } of Object.values(PUBLIC_PRICES)) {
      expect(unit).not.toBe('');
      expect(dollars / per).toBeGreaterThan(0);
      expect([region, date]).toEqual(['us-east-1', '2026-11']);
      expect(source).toMatch(/^https:\/\/aws\.amazon\.com\/[a-z-]+\/pricing\//);
    }
  });

  it('add up, and leave out what is not asked for', () => {
    const { dollars, parts } = priceOf({
      'sqs-request': 2_000_000,
      'kms-request': 10_000,
      'lambda-request': 0,
    });
    expect(parts.map(({ price }) => price)).toEqual(['sqs-request', 'kms-request']);
    expect(dollars).toBeCloseTo(0.83);
  });
});

const stateSchema = z.object({
  Type: z.string(),
  Next: z.string().optional(),
  End: z.boolean().optional(),
  Choices: z.array(z.object({ Next: z.string() })).optional(),
  get ItemProcessor() {
    return machineSchema.optional();
  },
});
const machineSchema = z.object({ StartAt: z.string(), States: z.record(z.string(), stateSchema) });

/** States entered by a rotation of one round that waits for nothing, and those of each segment. */
function happyPath(): { readonly states: number; readonly segment: number } {
  const file = new URL('../../../state-machines/rotate-key.asl.json', import.meta.url);
  const machine = machineSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  let segment = 0;
  const walk = ({ StartAt, States }: z.output<typeof machineSchema>): number => {
    let entered = 0;
    for (let name: string | undefined = StartAt; name !== undefined; ) {
      const state: z.output<typeof stateSchema> | undefined = States[name];
      if (state === undefined) break;
      entered += 1;
      if (state.ItemProcessor !== undefined) segment += walk(state.ItemProcessor);
      // The first choice is the way on.
      name = state.Next ?? state.Choices?.[0]?.Next;
    }
    return entered;
  };
  const states = walk(machine);
  return { states, segment };
}
