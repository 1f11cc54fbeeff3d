import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import type { Edit, Mutant } from './mutant.ts';

/** Puts a mutant's edits into the modules that this process loads from now on. The files stay as they are. */

const PROJECT = new URL('../../', import.meta.url);

/** Throws where an edit does not fit the file: then the list is to be brought up to date. */
export function mutate({ name, edits }: Mutant): void {
  const sources = new Map<string, string>();
  for (const edit of edits) {
    const url = new URL(edit.file, PROJECT).href;
    const source = sources.get(url) ?? readFileSync(new URL(url), 'utf8');
    sources.set(url, edited(source, edit, name));
  }
  registerHooks({
    load(url, context, next) {
      const source = sources.get(url);
      const loaded = next(url, context);
      return source === undefined ? loaded : { ...loaded, source };
    },
  });
}

export function edited(source: string, { file, from, to }: Edit, name: string): string {
  const found = source.split(from).length - 1;
  if (found !== 1) throw new Error(`Mutant ${name}: what it changes stands ${found} times in ${file}`);
  return source.replace(from, () => to);
}
