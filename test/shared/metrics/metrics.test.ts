import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { METRICS, type MetricName } from '../../../shared/metrics/metrics.ts';
import { requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runRotation } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds } from '../../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const root = join(import.meta.dirname, '../../..');
const sources = globSync(['shared/**/*.ts', 'functions/**/*.ts'], { cwd: root })
  .filter((path) => path !== 'shared/metrics/metrics.ts')
  .map((path) => readFileSync(join(root, path), 'utf8'));

describe('the metrics', () => {
  it.each(Object.keys(METRICS))('%s is emitted somewhere', (name) => {
    expect(sources.some((text) => text.includes(`'${name}'`))).toBe(true);
  });

  it('of a rotation say what was done, and what its census found', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 8);
    const measured: [MetricName, number][] = [];
    world.meter.metrics = { add: (name, value) => measured.push([name, value]) };
    const valuesOf = (name: MetricName) => measured.flatMap(([key, value]) => (key === name ? [value] : []));
    const { job } = await requestRotation(world.deps, KEY);
    let written = false;
    await runRotation(world, job.jobId, async (name, step) => {
      const answer = await step();
      // By an application that still has the old version: the sweep does not see it, the census does.
      if (name === 'CheckSweep' && !written) {
        written = true;
        await world.write(world.people, 99, 'late', 1);
      }
      return answer;
    });
    expect(valuesOf('StaleRecords')).toEqual([2, 0]);
    expect(valuesOf('JobsCompleted')).toEqual([1]);
    expect(valuesOf('RecordsRewrapped').reduce((a, b) => a + b, 0)).toBe(13);
    expect(valuesOf('JobsBlocked')).toEqual([]);
  });
});
