import { z } from 'zod';
import { configSchema } from '../../../shared/config/schema.ts';

/** docs/keyturn.schema.json, for editors. */
export function configJsonSchema(): string {
  const schema = { title: 'Keyturn configuration', ...z.toJSONSchema(configSchema, { io: 'input' }) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}
