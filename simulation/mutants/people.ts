import type { Mutant } from './mutant.ts';
import { NO_COUNT } from './purge.ts';

/** Breaks around restores, rollbacks, approvals, customers' root keys and the audit. */
export const PEOPLE_MUTANTS: readonly Mutant[] = [
  {
    name: 'restore-holds-nothing',
    breaks: 'a restore is ready although its versions are not held and no purge is void',
    rules: ['9'],
    needs: ['restore'],
    edits: [
      {
        file: 'shared/rotation/begin-restore.ts',
        from: '      return gone.length > 0 || versions.length === 0\n        ? current',
        to: '      return gone.length > 0 || versions.length >= 0\n        ? current',
      },
    ],
  },
  {
    name: 'restore-of-a-destroyed-version',
    breaks: 'a backup whose version is gone is restored all the same',
    rules: ['1', '9'],
    needs: ['restore'],
    profile: 'restored-late',
    edits: [
      {
        file: 'shared/rotation/restore-versions.ts',
        from: '      lost.push({ tenant: key.tenant, purpose: key.purpose, version: found.version, destroyedAt });',
        to: '',
      },
    ],
  },
  {
    name: 'restore-ends-without-a-sweep',
    breaks: 'the end of a restore frees its versions before anything swept the rows that came back',
    rules: ['1', '9'],
    needs: ['restore'],
    profile: 'purge',
    edits: [
      {
        file: 'shared/keyring/holds.ts',
        from: '  const holds = key.holds.map((hold) =>\n    hold.holdId === restoreId ? { ...hold, endedEpoch: restoreEpoch } : hold,\n  );',
        to: '  const holds = key.holds.filter((hold) => hold.holdId !== restoreId);',
      },
      ...NO_COUNT,
    ],
  },
  {
    name: 'restore-frees-too-early',
    breaks: 'a sweep that began before the end of a restore frees its versions',
    rules: ['9'],
    needs: ['restore'],
    profile: 'hasty',
    edits: [
      {
        file: 'shared/keyring/holds.ts',
        from: "  return reason === 'RESTORE' && endedEpoch !== null && endedEpoch <= restoreEpoch;",
        to: "  return reason === 'RESTORE' && restoreEpoch >= 0;",
      },
    ],
  },
  {
    name: 'rollback-to-a-fenced-version',
    breaks: 'a version that waits for its destruction is activated again, and its purge is not called off',
    rules: ['6'],
    profile: 'taken-back',
    edits: [
      {
        file: 'shared/rotation/rollback.ts',
        from: 'new Set([rotationJobId(key), purgeJobId(key.keyId, to)])',
        to: 'new Set([rotationJobId(key)])',
      },
      {
        file: 'shared/keyring/versions.ts',
        from: "  if (found.state !== 'RETIRING') throw refused(key, found, `is ${found.state}, not RETIRING`);\n  return changeVersion(key, to,",
        to: '  return changeVersion(key, to,',
      },
      { file: 'shared/keyring/versions.ts', from: "  requireStep(key, found, 'ACTIVE');", to: '' },
      {
        file: 'shared/rotation/create-version.ts',
        from: "  if (job.goal === 'ROLLBACK') requireRetiring(key, to);",
        to: '',
      },
    ],
  },
  {
    name: 'rollback-keeps-the-purge-date',
    breaks: 'a version that comes back by a rollback keeps the purge date of its former retirement',
    rules: ['1', '8', 'liveness'],
    profile: 'rollbacks',
    edits: [
      {
        file: 'shared/keyring/versions.ts',
        from: '  return changeVersion(key, to, { purgeNotBefore: null, retiredBy: null }, { rotationId });',
        to: '  return changeVersion(key, to, {}, { rotationId });',
      },
      {
        file: 'shared/keyring/versions.ts',
        from: "    { state: 'ACTIVE', activatedAt, retiringAt: null, purgeNotBefore: null, retiredBy: null },",
        to: "    { state: 'ACTIVE', activatedAt },",
      },
      {
        file: 'shared/keyring/versions.ts',
        from: '  const deactivated: KeyVersion = { ...left, retiringAt: activatedAt, purgeNotBefore: null, retiredBy: null };',
        to: '  const deactivated: KeyVersion = { ...left, retiringAt: left.retiringAt ?? at };',
      },
      {
        file: 'shared/keyring/versions.ts',
        from: '      purgeNotBefore: held !== null && held > purgeNotBefore ? held : purgeNotBefore,',
        to: '      purgeNotBefore: held ?? purgeNotBefore,',
      },
      {
        file: 'shared/rotation/purge-rules.ts',
        from: '    Date.parse(found.seen?.cleanAt ?? found.retiringAt ?? found.purgeNotBefore) +\n    config.rotation.graceSeconds * 1000;',
        to: '    0;',
      },
    ],
  },
  {
    name: 'self-approval-counts',
    breaks: 'who asked for a destruction counts among its approvers',
    rules: ['25'],
    needs: ['self-approval'],
    edits: [
      {
        file: 'shared/approvals/binding.ts',
        from: '  return askers(requestedBy).includes(nameOf(approver));',
        to: '  return askers(requestedBy).includes(`not ${nameOf(approver)}`);',
      },
    ],
  },
  {
    name: 'one-approval-is-enough',
    breaks: 'a destruction is authorized before as many approved it as are required',
    rules: ['25'],
    profile: 'approved-purge',
    edits: [
      {
        file: 'shared/approvals/check-approvals.ts',
        from: 'approved: over === null && valid.length >= required };',
        to: 'approved: over === null && valid.length >= 0 };',
      },
    ],
  },
  {
    name: 'approval-used-twice',
    breaks: 'an approval of a purge that was called off serves for the next one',
    rules: ['25'],
    profile: 'approved-purge',
    edits: [
      {
        file: 'shared/rotation/take-up.ts',
        from: "approvalId: job.status === 'PAUSED' ? job.approvalId : null,",
        to: 'approvalId: job.approvalId,',
      },
      {
        file: 'shared/approvals/check-approvals.ts',
        from: '  if (written !== null) return written.why;',
        to: '',
      },
      {
        file: 'shared/approvals/check-approvals.ts',
        from: '  if (used !== undefined) return `it was used for version ${used.version}`;',
        to: '',
      },
      {
        file: 'shared/approvals/purge-approval.ts',
        from: '  if (destroyPendingAt === null || request.requestedAt < destroyPendingAt)',
        to: '  if (destroyPendingAt === null)',
      },
      {
        file: 'shared/keyring/destruction.ts',
        from: "  if (used) throw refused(key, found, 'has an approval that was used before');",
        to: '',
      },
    ],
  },
  {
    name: 'approval-of-an-earlier-epoch',
    breaks: 'an approval that was given before a restore counts after it',
    rules: ['25'],
    needs: ['restore'],
    profile: 'approved-purge',
    edits: [
      {
        file: 'shared/rotation/take-up.ts',
        from: "approvalId: job.status === 'PAUSED' ? job.approvalId : null,",
        to: 'approvalId: job.approvalId,',
      },
      {
        file: 'shared/approvals/check-approvals.ts',
        from: "  if (key.restoreEpoch !== restoreEpoch) return 'a store was restored since';",
        to: '',
      },
      {
        file: 'shared/approvals/purge-approval.ts',
        from: "  if (restoreEpoch !== key.restoreEpoch || restoreEpoch !== job.restoreEpoch)\n    return 'a store was restored since';",
        to: '',
      },
      {
        file: 'shared/approvals/purge-approval.ts',
        from: '  if (destroyPendingAt === null || request.requestedAt < destroyPendingAt)',
        to: '  if (destroyPendingAt === null)',
      },
      {
        file: 'shared/certificates/inconsistencies.ts',
        from: '    request.restoreEpoch === restoreEpoch;',
        to: '    request.restoreEpoch >= 0;',
      },
    ],
  },
  {
    name: 'expired-approval-counts',
    breaks: 'an approval counts after its expiry',
    rules: ['21', '25'],
    needs: ['executions-unavailable', 'execution-aborted', 'kill-after-call'],
    profile: 'approved-purge',
    edits: [
      {
        file: 'shared/approvals/binding.ts',
        from: '  return Math.max(now, Date.parse(requestedAt)) + clockSkewSeconds * 1000 >= Date.parse(expiresAt);',
        to: '  return Math.max(now, Date.parse(requestedAt)) + clockSkewSeconds * 1000 >= Date.parse(expiresAt) + 1e15;',
      },
      {
        file: 'shared/rotation/destroy-version.ts',
        from: 'now + rotation.clockSkewSeconds * 1000 >= Date.parse(expiresAt);',
        to: 'now + rotation.clockSkewSeconds * 1000 >= Date.parse(expiresAt) + 1e15;',
      },
      {
        file: 'shared/approvals/check-approvals.ts',
        from: "  if (Date.parse(at) >= Date.parse(request.expiresAt)) return 'approved after it had expired';",
        to: '',
      },
    ],
  },
  {
    name: 'purge-under-a-revoked-root-key',
    breaks: 'a version is destroyed while its customer has disabled the root key',
    rules: ['22'],
    needs: ['root-key-disabled', 'event-lost'],
    profile: 'purge',
    edits: [
      { file: 'shared/rotation/destroy-version.ts', from: '  await requireUsable(deps, job);', to: '' },
    ],
  },
  {
    name: 'suspended-for-ever',
    breaks: 'a root key that can be used again resumes nothing',
    rules: ['22', 'liveness'],
    needs: ['root-key-disabled'],
    edits: [
      {
        file: 'shared/keyring/suspension.ts',
        from: '  return changeVersion(key, version, { state, suspended: null });',
        to: '  return key;',
      },
    ],
  },
  {
    name: 'pause-is-for-ever',
    breaks: 'a job that rests for its root key is not taken up when that can be used again',
    rules: ['22', 'liveness'],
    needs: ['root-key-disabled'],
    edits: [
      {
        file: 'shared/rotation/reconcile-root-keys.ts',
        from: "    const resumed = await resumeJob(deps, jobId, 'ROOT_KEY');\n    if (resumed.status === 'PAUSED') return;",
        to: '    if (jobId !== "") return;',
      },
    ],
  },
  {
    name: 'change-without-audit',
    breaks: 'a change of a key has no entry in the audit',
    rules: ['26'],
    edits: [
      {
        file: 'shared/audit/audited-ledger.ts',
        from: '    await write(store.leaving(event));\n    const sequence = await chain.append(tenant, event, afterSequence);',
        to: '    await write(store);\n    const sequence = afterSequence;',
      },
    ],
  },
  {
    name: 'audit-outbox-is-dropped',
    breaks: 'an entry that a crash left in its item is never appended',
    rules: ['26'],
    needs: ['kill-after-call'],
    edits: [
      {
        file: 'shared/audit/audited-ledger.ts',
        from: '    return isPending(outbox) ? chain.append(tenant, outbox, outbox.afterSequence) : outbox.sequence;',
        to: '    return isPending(outbox) ? chain.reach(tenant) : outbox.sequence;',
      },
    ],
  },
  {
    name: 'audit-has-a-gap',
    breaks: 'an entry of the chain does not link to the one before it',
    rules: ['26'],
    edits: [
      {
        file: 'shared/audit/chain.ts',
        from: '    previous: head.hash,',
        to: '    previous: head.last > 2 ? null : head.hash,',
      },
    ],
  },
  {
    name: 'revision-is-not-compared',
    breaks: 'a key is written over a change that somebody else made in between',
    rules: ['6'],
    edits: [
      {
        file: 'simulation/models/ledger.ts',
        from: '  if (stored?.revision !== item.revision - 1) throw conflict();',
        to: '  if (stored === undefined) throw conflict();',
      },
    ],
  },
];
