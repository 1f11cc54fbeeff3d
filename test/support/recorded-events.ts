import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** Events of KMS as AWS sent them, in a folder beside the repository: [file name, event]. Empty where that is absent. */
const folder = new URL('../../../shared/events/', import.meta.url);

export const RECORDED_EVENTS: readonly (readonly [string, unknown])[] = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => [name, JSON.parse(readFileSync(new URL(name, folder), 'utf8'))])
  : [];
