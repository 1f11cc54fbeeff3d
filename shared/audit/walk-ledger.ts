import type { Deps } from '../deps/deps.ts';
import { type CreatedDeps, compareCreated } from './compare-created.ts';
import type { Finding } from './findings.ts';
import { startWalk, type Walk } from './walk.ts';

/** A chain as the ledger has it, read a page at a time: what an entry tells of once and for all is compared as it is read. */
export interface LedgerWalk {
  readonly walk: Walk;
  /** Of requests for approval that the chain tells of. */
  readonly requestIds: ReadonlySet<string>;
  /** Of items that are not what their entries tell. */
  readonly findings: readonly Finding[];
  /** Reads on to the end. Several may do so at the same time. */
  on(): Promise<void>;
}

export type WalkDeps = CreatedDeps & Pick<Deps, 'audit'>;

const PAGE = 500;

export function startLedgerWalk(deps: WalkDeps, tenant: string): LedgerWalk {
  const walk = startWalk(tenant, 'ledger');
  const requestIds = new Set<string>();
  const findings: Finding[] = [];
  return {
    walk,
    requestIds,
    findings,
    async on() {
      for (;;) {
        const items = await deps.audit.listAuditEntries(tenant, walk.last + 1, PAGE);
        const entries = items
          .filter(({ sequence }) => sequence > walk.last)
          .flatMap((item) => walk.next(item) ?? []);
        for (const { eventId } of entries) {
          const [, requestId] = /^approval-request\/(.+)$/.exec(eventId) ?? [];
          if (requestId !== undefined) requestIds.add(requestId);
        }
        findings.push(...(await compareCreated(deps, tenant, entries)));
        if (items.length < PAGE) return;
      }
    },
  };
}
