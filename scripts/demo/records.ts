/** The demo's records: what a coaching practice keeps of its clients. Made up, and the same for the same numbers. */

export const RECORD_SET = 'clients';
export const PURPOSE = 'client-data';
export const FIELDS = ['email', 'phone', 'note'] as const;
export type FieldName = (typeof FIELDS)[number];

export const CREATE_TABLE = `
  CREATE TABLE clients (
    id bigint PRIMARY KEY,
    practice text NOT NULL,
    city text NOT NULL,
    email_enc bytea,
    phone_enc bytea,
    note_enc bytea
  ) WITH (fillfactor = 50)`;

const FIRST = [
  'Ada',
  'Ben',
  'Chloé',
  'Deniz',
  'Émile',
  'Farah',
  'Grace',
  'Hugo',
  'Inès',
  'Jonas',
  'Kaja',
  'Liam',
];
const LAST = [
  'Ahmed',
  'Berg',
  'Costa',
  'Dubois',
  'Eriksen',
  'Fischer',
  'García',
  'Haddad',
  'Ito',
  'Jansen',
  'Kowalski',
];
const TOPICS = [
  'sleep',
  'a career change',
  'team conflict',
  'public speaking',
  'burnout',
  'returning to work',
];
const CITIES = ['Lyon', 'Berlin', 'Porto', 'Oslo', 'Kraków', 'Gent', 'Valencia'];

export function tenantName(index: number): string {
  return `practice-${String(index + 1).padStart(2, '0')}`;
}

export function city(id: number): string {
  return at(CITIES, id * 7);
}

/** The plaintext of a field as the application's `generation`-th write made it. */
export function plaintext(id: number, field: FieldName, generation: number): string {
  const first = at(FIRST, id * 5 + generation);
  const last = at(LAST, id * 3);
  switch (field) {
    case 'email':
      return `${first}.${last}.${id}@example.org`.toLowerCase();
    case 'phone':
      return `+33 6 ${String((id * 7919 + generation * 104_729) % 100_000_000).padStart(8, '0')}`;
    case 'note':
      return `Session ${generation + 1} with ${first} ${last}: talked about ${at(TOPICS, id + generation)}; next steps agreed. #${id}/${generation}`;
  }
}

function at(list: readonly string[], index: number): string {
  return list[index % list.length] ?? '';
}
