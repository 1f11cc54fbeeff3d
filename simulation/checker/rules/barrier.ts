import type { MakeRule } from '../rule.ts';

/** The census that completes a rotation begins when no writer can still seal under the version that it leaves. */
export const barrier: MakeRule = (book, find) => ({
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
