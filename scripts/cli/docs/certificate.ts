import { z } from 'zod';
import { certificateSchema } from '../../../shared/certificates/certificate.ts';

/** docs/certificate.v1.schema.json: the JSON Schema of what a certificate says. */
export function certificateJsonSchema(): string {
  const schema = z.toJSONSchema(certificateSchema, { io: 'input' });
  return `${JSON.stringify({ title: 'Keyturn retirement certificate', ...schema }, null, 2)}\n`;
}
