import { certificateJsonSchema } from './certificate.ts';
import { commandsPage } from './commands.ts';
import { configurationPage } from './configuration.ts';
import { errorsPage } from './errors.ts';
import { EVENT_SCHEMA_PAGES, eventsPage } from './events.ts';
import { metricsPage } from './metrics.ts';
import { configJsonSchema } from './schema.ts';

/** The pages of docs/ that are made from the code. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'keyturn.schema.json': configJsonSchema,
  'certificate.v1.schema.json': certificateJsonSchema,
  'configuration.md': configurationPage,
  'errors.md': errorsPage,
  'cli.md': commandsPage,
  'events.md': eventsPage,
  'metrics.md': metricsPage,
  ...EVENT_SCHEMA_PAGES,
};
