import { expect, it } from 'vitest';
import { readEnvironment, VARIABLES } from '../../../shared/deps/environment.ts';
import { ALL_NEEDS, type Need } from '../../../shared/deps/needs.ts';

const FULL = {
  KEYTURN_CONFIG: 'keyturn.prod.yaml',
  KEYTURN_LEDGER_TABLE: 'ledger',
  KEYTURN_QUEUE_URL: 'https://sqs.eu-central-1.amazonaws.com/000000000000/q',
  KEYTURN_BUS_NAME: 'bus',
  KEYTURN_ROTATE_KEY_ARN: 'a',
  KEYTURN_PURGE_VERSION_ARN: 'b',
  KEYTURN_ADOPT_RECORDS_ARN: 'c',
};

it('is frozen, and has what the needs ask for and null for the rest', () => {
  expect(readEnvironment(FULL, ALL_NEEDS)).toEqual(FULL);
  for (const need of [...ALL_NEEDS, null]) {
    const environment = readEnvironment(FULL, need === null ? [] : [need]);
    expect(Object.isFrozen(environment)).toBe(true);
    const expected = Object.entries(VARIABLES).map(([name, variable]) => {
      const asked = variable.need === null || variable.need === need;
      return [name, asked ? Reflect.get(FULL, name) : null];
    });
    expect(environment).toEqual(Object.fromEntries(expected));
  }
});

it.each(Object.entries(VARIABLES))(
  '%s is named when it is missing or empty, and only when it is needed',
  (name, { need }) => {
    const needs: readonly Need[] = need === null ? [] : [need];
    for (const value of [undefined, '']) {
      const environment = { ...FULL, [name]: value };
      expect(() => readEnvironment(environment, needs)).toThrow(
        expect.objectContaining({
          code: 'ENVIRONMENT_INVALID',
          message: `Environment variables are missing or invalid: ${name}`,
          remedy: expect.any(String),
        }),
      );
      const others = ALL_NEEDS.filter((other) => other !== need);
      if (need !== null) expect(readEnvironment(environment, others)).toMatchObject({ [name]: null });
    }
  },
);

it('takes no queue that is not a URL, and shows no value', () => {
  const read = () => readEnvironment({ ...FULL, KEYTURN_QUEUE_URL: 'SECRET' }, ['queue']);
  expect(read).toThrow(/KEYTURN_QUEUE_URL$/);
  expect(read).not.toThrow(/SECRET/);
});
