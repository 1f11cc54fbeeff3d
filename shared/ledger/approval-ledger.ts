import type { Approval, ApprovalRequest, ApprovalVoid } from '../approvals/approval.ts';
import type { Item } from './attribute-values.ts';
import {
  APPROVER_PREFIX,
  approvalPartition,
  itemKeys,
  LIST_INDEX,
  LIST_KEY,
  LIST_ORDER,
  LISTS,
  PARTITION_KEY,
  SORT_KEY,
  STORED_WITH,
} from './attributes.ts';
import type { AuthenticatedTable } from './authentication/authenticated-table.ts';
import { approvalRequestSchema, approvalSchema, approvalVoidSchema, parseItem } from './items.ts';
import type { Ledger } from './ledger.ts';
import { createOne, type Kind, readOne } from './stored-items.ts';

/** Requests for approval, each in a partition of its own with its approvals. All create-only: nobody's word changes. */

type ApprovalLedger = Pick<
  Ledger,
  | 'createApprovalRequest'
  | 'getApprovalRequest'
  | 'listApprovalRequests'
  | 'voidApprovalRequest'
  | 'getApprovalVoid'
  | 'createApproval'
  | 'listApprovals'
>;

export const APPROVAL_REQUEST: Kind<ApprovalRequest> = {
  name: 'approval request',
  schema: approvalRequestSchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ requestId }) => itemKeys.approvalRequest(requestId),
  // By their end, so that whoever asks for the open ones reads no others.
  listed: ({ expiresAt, requestId }) => ({ list: LISTS.approvals, order: orderOf({ expiresAt, requestId }) }),
};

function orderOf({ expiresAt, requestId }: Pick<ApprovalRequest, 'expiresAt' | 'requestId'>): string {
  return `${expiresAt}#${requestId}`;
}

const APPROVAL_VOID: Kind<ApprovalVoid> = {
  name: 'void approval request',
  schema: approvalVoidSchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ requestId }) => itemKeys.approvalVoid(requestId),
};

const APPROVAL: Kind<Approval> = {
  name: 'approval',
  schema: approvalSchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ requestId, approver }) => itemKeys.approval(requestId, approver),
};

export function createApprovalLedger(table: AuthenticatedTable): ApprovalLedger {
  return {
    createApprovalRequest: (request) => createOne(table, APPROVAL_REQUEST, request),
    getApprovalRequest: async (requestId) =>
      readOne(table, APPROVAL_REQUEST, itemKeys.approvalRequest(requestId)),
    listApprovalRequests: async ({ expiresFrom = '', limit } = {}, onSkipped) => {
      const read = (item: Item) => parseItem(APPROVAL_REQUEST, item);
      const listed = (list: string) =>
        table.list(
          {
            index: LIST_INDEX,
            condition: '#list = :list AND #order >= :from',
            names: { '#list': LIST_KEY, '#order': LIST_ORDER },
            // A key attribute cannot be compared with an empty text.
            values: { ':list': list, ':from': expiresFrom === '' ? '0' : expiresFrom },
            newestFirst: true,
            ...(limit === undefined ? {} : { limit }),
          },
          read,
          onSkipped,
        );
      // In this order: what moves from the one to the other meanwhile is in both, not in neither.
      const requests = [...(await listed(LISTS.untoldApprovals)), ...(await listed(LISTS.approvals))];
      const unique = new Map(requests.map((request) => [request.requestId, request]));
      return [...unique.values()].sort((a, b) => (orderOf(a) < orderOf(b) ? 1 : -1)).slice(0, limit);
    },
    voidApprovalRequest: (entry) => createOne(table, APPROVAL_VOID, entry),
    getApprovalVoid: async (requestId) => readOne(table, APPROVAL_VOID, itemKeys.approvalVoid(requestId)),
    createApproval: (approval) => createOne(table, APPROVAL, approval),
    listApprovals: async (requestId) => {
      const items = await table.query({
        condition: '#pk = :pk AND begins_with(#sk, :prefix)',
        names: { '#pk': PARTITION_KEY, '#sk': SORT_KEY },
        values: { ':pk': approvalPartition(requestId), ':prefix': APPROVER_PREFIX },
      });
      return items.map((item) => parseItem(APPROVAL, item));
    },
  };
}
