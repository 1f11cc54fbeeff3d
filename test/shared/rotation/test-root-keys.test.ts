import { createTestRootKeys } from '../../../simulation/models/root-keys.ts';
import { describeRootKeyProvider } from '../../contracts/root-key-provider.ts';

describeRootKeyProvider('root keys in memory', async () => ({
  provider: createTestRootKeys().provider,
  another: createTestRootKeys().provider,
  unknownRootKeyId: 'arn:aws:kms:eu-central-1:111122223333:key/0',
}));
