import {
  DescribeKeyCommand,
  GetKeyRotationStatusCommand,
  type KeyMetadata,
  type KeyState,
  ListKeyRotationsCommand,
  type RotationsListEntry,
} from '@aws-sdk/client-kms';
import { ProviderError } from '../../errors/errors.ts';
import type { RootKeyState, RootKeyStatus } from '../root-key-provider.ts';
import type { CallKms } from './calls.ts';
import { isKeyArn } from './key-arn.ts';

/** D/kms/latest/developerguide/key-state.html */
const STATES = {
  Enabled: 'ENABLED',
  // Of a multi-Region key whose primary region changes; it can be used meanwhile.
  Updating: 'ENABLED',
  Disabled: 'DISABLED',
  PendingDeletion: 'PENDING_DELETION',
  PendingReplicaDeletion: 'PENDING_DELETION',
  PendingImport: 'PENDING_IMPORT',
  Creating: 'UNAVAILABLE',
  Unavailable: 'UNAVAILABLE',
} as const satisfies Record<KeyState, RootKeyState>;

/** What DescribeKey says; null: there is no such key. */
export async function describeRootKey(call: CallKms, rootKeyId: string): Promise<KeyMetadata | null> {
  // A bare id or an alias would be looked up in the account and region of the caller, where it may mean another key.
  if (!isKeyArn(rootKeyId)) return null;
  try {
    const { KeyMetadata } = await call({ operation: 'DescribeKey', rootKeyIds: [rootKeyId] }, (client) =>
      client.send(new DescribeKeyCommand({ KeyId: rootKeyId })),
    );
    return KeyMetadata ?? null;
  } catch (error) {
    if (error instanceof ProviderError && error.code === 'ROOT_KEY_NOT_FOUND') return null;
    throw error;
  }
}

export function stateOf(metadata: KeyMetadata | null): RootKeyState {
  if (metadata === null) return 'NOT_FOUND';
  // A state that KMS adds one day is not taken for a usable one.
  const states: Readonly<Record<string, RootKeyState>> = STATES;
  return states[metadata.KeyState ?? ''] ?? 'UNAVAILABLE';
}

export async function inspectRootKey(call: CallKms, rootKeyId: string): Promise<RootKeyStatus> {
  const metadata = await describeRootKey(call, rootKeyId);
  const materials = metadata !== null && needsMaterials(metadata) ? await listMaterials(call, rootKeyId) : [];
  const current = materials.find(({ KeyMaterialState }) => KeyMaterialState === 'CURRENT');
  const expiries = [metadata, ...materials.filter(isNeeded)].flatMap((each) => each?.ValidTo ?? []);
  return {
    rootKeyId,
    state: stateOf(metadata),
    materialId: metadata?.CurrentKeyMaterialId ?? current?.KeyMaterialId ?? null,
    materialExpiresAt: isoOf(earliest(expiries)),
    deletionAt: isoOf(metadata?.DeletionDate),
    automaticRotation: metadata === null ? null : await rotatesByItself(call, rootKeyId, metadata),
  };
}

/** DescribeKey usually tells the current material; each imported one has an expiry of its own. */
function needsMaterials({ Origin, CurrentKeyMaterialId, KeySpec }: KeyMetadata): boolean {
  const hasMaterials = KeySpec === 'SYMMETRIC_DEFAULT' && (Origin === 'AWS_KMS' || Origin === 'EXTERNAL');
  return hasMaterials && (Origin === 'EXTERNAL' || CurrentKeyMaterialId === undefined);
}

/** Former material still unwraps what it wrapped; material that waits for its rotation wrapped nothing yet. */
function isNeeded({ KeyMaterialState }: RotationsListEntry): boolean {
  return KeyMaterialState === 'CURRENT' || KeyMaterialState === 'NON_CURRENT';
}

/** Every material of the key, or none where this identity may not list them or KMS does not know how. */
async function listMaterials(call: CallKms, rootKeyId: string): Promise<readonly RotationsListEntry[]> {
  const materials: RotationsListEntry[] = [];
  let marker: string | undefined;
  try {
    do {
      const input = { KeyId: rootKeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL', Marker: marker } as const;
      const page = await call({ operation: 'ListKeyRotations', rootKeyIds: [rootKeyId] }, (client) =>
        client.send(new ListKeyRotationsCommand(input)),
      );
      materials.push(...(page.Rotations ?? []));
      marker = page.Truncated === true ? page.NextMarker : undefined;
    } while (marker !== undefined);
  } catch (error) {
    if (error instanceof ProviderError && !error.retryable) return [];
    throw error;
  }
  return materials;
}

/** Only KMS's own symmetric material can rotate by itself. D/kms/latest/APIReference/API_GetKeyRotationStatus.html */
async function rotatesByItself(
  call: CallKms,
  rootKeyId: string,
  { Origin, KeySpec, KeyState }: KeyMetadata,
): Promise<boolean | null> {
  if (Origin !== 'AWS_KMS' || KeySpec !== 'SYMMETRIC_DEFAULT' || KeyState !== 'Enabled') return null;
  try {
    const { KeyRotationEnabled } = await call(
      { operation: 'GetKeyRotationStatus', rootKeyIds: [rootKeyId] },
      (client) => client.send(new GetKeyRotationStatusCommand({ KeyId: rootKeyId })),
    );
    return KeyRotationEnabled ?? null;
  } catch (error) {
    if (error instanceof ProviderError && !error.retryable) return null;
    throw error;
  }
}

function earliest(dates: readonly Date[]): Date | undefined {
  return dates.toSorted((a, b) => a.getTime() - b.getTime())[0];
}

function isoOf(date: Date | undefined): string | null {
  return date === undefined ? null : date.toISOString();
}
