import type { MakeRule } from '../rule.ts';

/**
 * The census that completes a rotation begins when no writer can still seal under the version that it leaves; and none does,
 * unless something stood still.
 */
export const barrier: MakeRule = (book, find) => ({
  record({ entry: { at }, row: { after, before, cause, by } }) {
    if (cause !== 'application' || STANDSTILLS.some((fault) => book.faults.has(fault))) return;
    for (const [i, value] of after?.values.entries() ?? []) {
      const named =
        value.bytes === null || value === before?.values[i] ? null : book.opener.parse(value.bytes);
      const list = named === null ? [] : (book.activations.get(named.keyId) ?? []);
      const last = list.findLastIndex(({ version }) => version === named?.version);
      const left = last < 0 ? undefined : list[last + 1];
      const most = ['cacheMaxAgeSeconds', 'clockSkewSeconds', 'maxTransactionSeconds'];
      const limit = most.reduce((sum, setting) => sum + book.milliseconds(setting), 0);
      if (left !== undefined && at - left.at > limit)
        find('5', `${by} sealed under version ${named?.version}, ${at - left.at} ms after it was left`);
    }
  },
  job({ before, after }) {
    const { jobId, kind, goal, keyId, to, status } = after;
    if (kind !== 'rotate' || goal === 'RESWEEP') return;
    if (status !== 'COMPLETED' || before?.status === 'COMPLETED') return;
    const activated = book.activations.get(keyId)?.findLast(({ version }) => version === to);
    const began = book.censusBegan.get(jobId);
    if (activated === undefined || began === undefined) {
      find('5', `rotation ${jobId} is complete without an activation of version ${to} and a census`);
      return;
    }
    // Cache age, skew and transaction; less the skew, by which two clocks may differ.
    const least = book.milliseconds('cacheMaxAgeSeconds') + book.milliseconds('maxTransactionSeconds');
    if (!(began.at - activated.at >= least))
      find('5', `the census of rotation ${jobId} began ${began.at - activated.at} ms after its activation`);
  },
});

/** What keeps a writer from knowing how late it is: the database's fence is for that. */
const STANDSTILLS = ['frozen-application', 'zombie', 'clock-jump-back', 'clock-frozen'];
