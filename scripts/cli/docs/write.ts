import { mkdir, writeFile } from 'node:fs/promises';
import { PAGES } from './pages.ts';

/** Writes the pages that are made from the code: `node scripts/cli/docs/write.ts`. */
for (const [name, page] of Object.entries(PAGES)) {
  const file = new URL(`../../../docs/${name}`, import.meta.url);
  await mkdir(new URL('.', file), { recursive: true });
  await writeFile(file, page());
}
