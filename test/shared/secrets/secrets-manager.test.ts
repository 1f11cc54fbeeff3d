import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createSecretsManager } from '../../../shared/secrets/secrets-manager.ts';

/** What the adapter makes of Secrets Manager's answers, over the wire; the service itself is in the emulator suites. */

let answer: { readonly status: number; readonly body: object };
let requests = 0;
const server = createServer((request, response) => {
  requests += 1;
  request.resume().on('end', () => {
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.1' });
    response.end(JSON.stringify(answer.body));
  });
});
let client: SecretsManagerClient;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  client = new SecretsManagerClient({
    region: 'us-east-1',
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
});
beforeEach(() => {
  requests = 0;
});
afterAll(() => {
  client.destroy();
  server.close();
});

const failure = (status: number, name: string) => ({
  status,
  body: { __type: name, message: 'SECRET TEXT' },
});

describe('a secret', () => {
  it('is read, and read again when it may be too old', async () => {
    const secrets = createSecretsManager(client);
    answer = { status: 200, body: { ARN: 'arn', Name: 'rds', SecretString: 'first' } };
    expect(await secrets.read('rds', 60)).toBe('first');
    answer = { status: 200, body: { ARN: 'arn', Name: 'rds', SecretString: 'second' } };
    expect(await secrets.read('rds', 60)).toBe('first');
    expect(requests).toBe(1);
    expect(await createSecretsManager(client).read('rds', 60)).toBe('second');
  });

  it.each([
    ['ResourceNotFoundException', 400, 'SECRET_NOT_FOUND', false],
    ['AccessDeniedException', 400, 'SECRET_DENIED', false],
    ['DecryptionFailure', 400, 'SECRET_DENIED', false],
    ['InternalServiceError', 500, 'SECRET_UNAVAILABLE', true],
    ['ThrottlingException', 400, 'SECRET_UNAVAILABLE', true],
  ])('that gives %s is a typed error, without the text of AWS', async (name, status, code, retryable) => {
    answer = failure(status, name);
    const error: unknown = await createSecretsManager(client)
      .read('rds', 60)
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'SecretError', code, retryable });
    expect(String(error)).not.toContain('SECRET TEXT');
  });

  it('is not there when it holds no text', async () => {
    answer = {
      status: 200,
      body: { ARN: 'arn', Name: 'rds', SecretBinary: Buffer.from('x').toString('base64') },
    };
    await expect(createSecretsManager(client).read('rds', 60)).rejects.toMatchObject({
      code: 'SECRET_NOT_FOUND',
    });
  });
});
