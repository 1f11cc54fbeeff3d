import { describe, expect, it } from 'vitest';
import { exclusionsOf } from '../../../shared/census/exclusions.ts';
import { configSchema } from '../../../shared/config/schema.ts';

const set = (store: string, table: string, more: object = {}) => ({
  ...{ store, table, key: ['id'], tenant: { column: 'tenant' }, fields: [{ name: 'a', column: 'a' }] },
  ...more,
});

const config = configSchema.parse({
  provider: { type: 'local', keystore: 'k', keyFile: 'f' },
  stores: {
    main: { type: 'postgres', urlFrom: 'URL' },
    items: { type: 'dynamodb' },
    spare: { type: 'postgres', urlFrom: 'URL2' },
  },
  recordSets: {
    people: set('main', 'people'),
    own: set('main', 'own', { tenant: { fixed: 'acme' } }),
    cards: set('items', 'cards', { purpose: 'cards' }),
  },
  retired: [
    { store: 'main', table: 'old' },
    { store: 'main', table: 'people', columns: ['b'] },
  ],
});
const key = {
  serves: [
    { store: 'main', table: 'people', columns: ['a', 'b', 'c'] },
    { store: 'main', table: 'old', columns: ['x'] },
    { store: 'gone', table: 't', columns: ['y'] },
  ],
};

const place = (store: string, table: string, ...columns: string[]) => ({
  ...{ store, table },
  columns: ['a', ...columns],
});

describe('what a census did not read', () => {
  it('is named with its reason: of a tenant’s rows', () => {
    const found = exclusionsOf({
      config,
      key,
      reach: 'tenant',
      read: { people: place('main', 'people'), own: place('main', 'own') },
      own: ['people', 'own'],
      searched: null,
    });
    expect(found).toEqual([
      { store: 'main', table: 'people', columns: ['b'], why: 'RETIRED' },
      { store: 'main', table: 'people', columns: ['c'], why: 'NOT_DECLARED' },
      { store: 'main', table: 'old', columns: ['x'], why: 'RETIRED' },
      { store: 'gone', table: 't', columns: ['y'], why: 'NOT_DECLARED' },
      { store: 'items', table: 'cards', columns: ['a'], why: 'OTHER_KEY' },
      { store: 'main', table: 'people', columns: ['a'], why: 'OTHER_TENANTS' },
      { store: 'main', table: '', columns: [], why: 'NOT_SEARCHED' },
      { store: 'items', table: '', columns: [], why: 'NOT_SEARCHED' },
      { store: 'spare', table: '', columns: [], why: 'NOT_SEARCHED' },
      { store: 'main', table: '', columns: [], why: 'BACKUPS' },
      { store: 'items', table: '', columns: [], why: 'BACKUPS' },
      { store: 'spare', table: '', columns: [], why: 'BACKUPS' },
    ]);
  });

  it('is named with its reason: of every row, after a search', () => {
    const searched = [
      {
        ...{ store: 'main', found: [], declared: [] },
        unsearched: [{ table: 'u', columns: ['j'], reason: 'TYPE' as const }],
      },
      { store: 'items', found: [], declared: [], unsearched: [] },
    ];
    const read = {
      people: place('main', 'people'),
      own: place('main', 'own'),
      cards: place('items', 'cards'),
    };
    const found = exclusionsOf({
      ...{ config, key: { serves: [] }, reach: 'everywhere' as const },
      ...{ read, own: ['people'], searched },
    });
    expect(found.filter(({ why }) => why !== 'BACKUPS')).toEqual([
      { store: 'main', table: 'u', columns: ['j'], why: 'TYPE' },
      { store: 'items', table: '', columns: [], why: 'OTHER_TABLES' },
      { store: 'spare', table: '', columns: [], why: 'NOT_SEARCHED' },
    ]);
    expect(found.filter(({ why }) => why === 'BACKUPS')).toHaveLength(3);
  });

  it('is named where a search took it as declared, or where the count knew less than who decides', () => {
    const declared = (table: string, ...columns: string[]) =>
      columns.map((column) => ({ table, column, onVersion: 0 }));
    const searched = [
      {
        ...{ store: 'main', found: [], unsearched: [] },
        declared: [
          ...declared('people', 'a', 'new'),
          ...declared('own', 'a'),
          ...declared('later', 'x', 'y'),
        ],
      },
    ];
    const found = exclusionsOf({
      ...{ config, key: { serves: [] }, reach: 'everywhere' as const },
      read: { people: place('main', 'people'), own: { ...place('main', 'own'), columns: [] } },
      ...{ own: ['people', 'own'], searched },
    });
    expect(found.filter(({ why }) => why === 'DECLARED_SINCE')).toEqual([
      { store: 'main', table: 'own', columns: ['a'], why: 'DECLARED_SINCE' },
      { store: 'items', table: 'cards', columns: ['a'], why: 'DECLARED_SINCE' },
      { store: 'main', table: 'people', columns: ['new'], why: 'DECLARED_SINCE' },
      { store: 'main', table: 'later', columns: ['x', 'y'], why: 'DECLARED_SINCE' },
    ]);
  });
});
