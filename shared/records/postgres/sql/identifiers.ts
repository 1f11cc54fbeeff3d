import pg from 'pg';

/** Always quoted: capitals, blanks, quotes and reserved words are names like any other. */
export function quote(identifier: string): string {
  return pg.escapeIdentifier(identifier);
}

/** `table` or `schema.table`, as the configuration has it. */
export function quoteTable(table: string): string {
  return table.split('.').map(quote).join('.');
}
