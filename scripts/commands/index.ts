import type { Command } from '../cli/command.ts';
import { adopt } from './adopt.ts';
import { approvalsList } from './approvals-list.ts';
import { approvalsShow } from './approvals-show.ts';
import { approve } from './approve.ts';
import { approversCreate } from './approvers-create.ts';
import { auditExport } from './audit-export.ts';
import { auditList } from './audit-list.ts';
import { auditVerify } from './audit-verify.ts';
import { cancel } from './cancel.ts';
import { census } from './census.ts';
import { censusList } from './census-list.ts';
import { censusShow } from './census-show.ts';
import { certificateKey } from './certificate-key.ts';
import { certificateShow } from './certificate-show.ts';
import { certificateVerify } from './certificate-verify.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { exitCodes } from './exit-codes.ts';
import { fenceCheck } from './fence-check.ts';
import { fenceInstall } from './fence-install.ts';
import { fenceRemove } from './fence-remove.ts';
import { holdsList } from './holds-list.ts';
import { holdsPlace } from './holds-place.ts';
import { holdsRelease } from './holds-release.ts';
import { init } from './init.ts';
import { inspectEnvelope } from './inspect.ts';
import { keysCreate } from './keys-create.ts';
import { keysList } from './keys-list.ts';
import { keysShow } from './keys-show.ts';
import { limit } from './limit.ts';
import { localStart } from './local-start.ts';
import { localStatus } from './local-status.ts';
import { localStop } from './local-stop.ts';
import { pause } from './pause.ts';
import { purge } from './purge.ts';
import { quarantineGiveUp } from './quarantine-give-up.ts';
import { quarantineList } from './quarantine-list.ts';
import { quarantineRetry } from './quarantine-retry.ts';
import { restoreAbort } from './restore-abort.ts';
import { restoreBegin } from './restore-begin.ts';
import { restoreEnd } from './restore-end.ts';
import { restoreList } from './restore-list.ts';
import { resume } from './resume.ts';
import { rollback } from './rollback.ts';
import { rotate } from './rotate.ts';
import { status } from './status.ts';

/** Every command, in the order of the help. */
export const COMMANDS: readonly Command[] = [
  init,
  doctor,
  localStart,
  localStop,
  localStatus,
  keysCreate,
  keysList,
  keysShow,
  adopt,
  rotate,
  status,
  pause,
  resume,
  cancel,
  limit,
  rollback,
  census,
  censusList,
  censusShow,
  purge,
  approve,
  approvalsList,
  approvalsShow,
  approversCreate,
  holdsList,
  holdsPlace,
  holdsRelease,
  restoreBegin,
  restoreEnd,
  restoreAbort,
  restoreList,
  fenceInstall,
  fenceCheck,
  fenceRemove,
  quarantineList,
  quarantineRetry,
  quarantineGiveUp,
  certificateShow,
  certificateVerify,
  certificateKey,
  auditList,
  auditVerify,
  auditExport,
  inspectEnvelope,
  demo,
  exitCodes,
];
