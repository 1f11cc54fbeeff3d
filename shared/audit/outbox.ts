import type { TenantKey, Timestamp } from '../keyring/key.ts';
import type { CreateResult, Ledger } from '../ledger/ledger.ts';
import type { Restore } from '../rotation/restore.ts';
import type { Job } from '../rotation/rotation.ts';
import type { AuditEntry, AuditValue } from './entry.ts';

/**
 * How an event gets from an item of the ledger into the chain of its tenant. The write that changes the item leaves the
 * event in the item itself, its outbox; then it is appended to the chain. After a crash in between, the event is still
 * there, and whoever changes the item next, or the hourly export, appends it. So there is no change without its entry.
 */

/** The chain of what is no single tenant's: restores of stores. No tenant has an empty name. */
export const SERVICE = '';

/** What happened, before it has a place in a chain. */
export interface AuditEvent {
  readonly eventId: string;
  readonly at: Timestamp;
  readonly actor: string;
  readonly type: string;
  readonly detail: Readonly<Record<string, AuditValue>>;
}

/** In an outbox. Whether it was appended is for the chain to say. */
export interface PendingEvent extends AuditEvent {
  /** Whose chain it belongs to. */
  readonly tenant: string;
  /** It is in the chain nowhere up to there. 0: nowhere is ruled out. */
  readonly afterSequence: number;
}

/** Left in an outbox whose event was seen in the chain. */
export interface AppendedEvent {
  readonly eventId: string;
  readonly sequence: number;
}

export type Outbox = PendingEvent | AppendedEvent;

export function isPending(outbox: Outbox): outbox is PendingEvent {
  return 'afterSequence' in outbox;
}

/** `outbox` is null when the item was written around the audit. */
export interface Audited<T> {
  readonly item: T;
  readonly outbox: Outbox | null;
}

/** An outbox whose event nobody has yet seen in the chain. */
export interface OpenOutbox {
  /** The ledger's own word for the item. */
  readonly place: string;
  readonly event: PendingEvent;
}

/** What stands at a place of the chain. Whoever wrote the table by hand may have put anything there. */
export interface ChainItem {
  readonly sequence: number;
  /** null: it is no entry. */
  readonly entry: AuditEntry | null;
  /** Written by the pipeline, at this place: its MAC says so. */
  readonly genuine: boolean;
}

/** The entry, if it is a genuine one of that place. */
export function entryAt(tenant: string, { sequence, entry, genuine }: ChainItem): AuditEntry | null {
  return genuine && entry?.tenant === tenant && entry.sequence === sequence ? entry : null;
}

/** How far a chain was exported. `planned`: the last entry of the segment that is being written; null: none is. */
export interface ExportMark {
  readonly tenant: string;
  readonly sequence: number;
  readonly planned: number | null;
  readonly revision: number;
}

/** What the audit keeps in the ledger's table. */
export interface AuditStore {
  /** Create-only on (tenant, sequence). False: something stands there already. */
  createAuditEntry(entry: AuditEntry): Promise<boolean>;
  /** From that sequence on, in order, at most `limit`. Strongly consistent. */
  listAuditEntries(tenant: string, from: number, limit: number): Promise<readonly ChainItem[]>;
  /** The end of the chain; null: it is empty. Strongly consistent. */
  lastAuditEntry(tenant: string): Promise<ChainItem | null>;

  /** Create-only on (tenant, eventId): an event that is no change of another item. */
  createAuditEvent(event: PendingEvent): Promise<CreateResult<Outbox>>;
  /** All of them, but those of items that cannot be verified; eventually consistent. */
  listOpenOutboxes(): Promise<readonly OpenOutbox[]>;
  /** Says in the item that its event was seen in the chain. A no-op when another event is there by now. */
  closeOutbox(outbox: OpenOutbox, sequence: number): Promise<void>;

  getExportMark(tenant: string): Promise<ExportMark | null>;
  /** Of all tenants, but those that cannot be verified; eventually consistent. */
  listExportMarks(): Promise<readonly ExportMark[]>;
  /** On condition that the stored revision is the one before. False: it is not. */
  putExportMark(mark: ExportMark): Promise<boolean>;
}

/** The ledger below the audit. */
export interface LedgerStore extends Ledger, AuditStore {
  /** The same ledger; whatever item it writes has this event in its outbox, by the same write. */
  leaving(event: PendingEvent): Ledger;
  readKey(tenant: string, purpose: string): Promise<Audited<TenantKey> | null>;
  readJob(jobId: string): Promise<Audited<Job> | null>;
  readRestore(restoreId: string): Promise<Audited<Restore> | null>;
}
