import type pg from 'pg';
import type { RecordSetConfig } from '../../config/schema.ts';
import { RecordStoreError } from '../../errors/errors.ts';
import { readCatalog, tableNotFound } from './catalog.ts';
import { translate } from './failures.ts';
import { findHazards, type Problem, problemError, readShape, type TableShape } from './table.ts';
import { asQueryable, inTransaction, type Queryable } from './transaction.ts';

/**
 * One record set's way to its table: knows the table's shape, learns it anew when the table turns out to have
 * changed, and lets out only our own errors.
 */
export class TableConnection {
  readonly recordSet: string;
  readonly config: RecordSetConfig;
  readonly pool: pg.Pool;
  readonly db: Queryable;
  #shape: Promise<TableShape> | undefined;

  constructor(recordSet: string, config: RecordSetConfig, pool: pg.Pool) {
    this.recordSet = recordSet;
    this.config = config;
    this.pool = pool;
    this.db = asQueryable(pool);
  }

  /** Runs `work` with the table's shape. What changed under it is named, when the database can still tell. */
  async run<T>(work: (shape: TableShape) => Promise<T>): Promise<T> {
    return this.guard(async () => {
      const shape = await this.#shapeOnce();
      try {
        return await work(shape);
      } catch (error) {
        const failure = translate(error, { recordSet: this.recordSet, table: this.config.table });
        if (failure instanceof RecordStoreError && SHAPE_CHANGED.has(failure.code)) {
          // The failed statement did nothing: with the shape as it is now it may be right, or say what is wrong.
          this.forgetShape();
          return await work(await this.#shapeOnce());
        }
        throw error;
      }
    });
  }

  /** In a transaction that `begin` begins, with the table's shape as it is in there. */
  transaction<T>(begin: string, work: (db: Queryable, shape: TableShape) => Promise<T>): Promise<T> {
    return this.guard(() =>
      inTransaction(this.pool, begin, async (db) => {
        const { shape, problems } = await this.survey(db);
        this.assertNone(problems);
        return work(db, shape);
      }),
    );
  }

  async guard<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      const passwordRotates = typeof this.pool.options.password === 'function';
      throw translate(error, { recordSet: this.recordSet, table: this.config.table, passwordRotates });
    }
  }

  forgetShape(): void {
    this.#shape = undefined;
  }

  /** The shape as it is now, whatever is missing of it. */
  async survey(db: Queryable = this.db) {
    const catalog = await readCatalog(db, this.config.table);
    if (catalog === undefined) throw await tableNotFound(db, this.recordSet, this.config.table);
    return { catalog, ...readShape(this.config, catalog), hazards: findHazards(this.config, catalog) };
  }

  assertNone(problems: readonly Problem[]): void {
    const [first, ...rest] = problems;
    if (first !== undefined) throw problemError(this.recordSet, this.config.table, [first, ...rest]);
  }

  notOwner(purpose: string, sql: string): RecordStoreError {
    return new RecordStoreError(
      'STORE_DENIED',
      `Record set "${this.recordSet}": only the owner of table "${this.config.table}" can ${purpose}, and the role is not it.`,
      { remedy: `Run this as the owner, then the same command again: ${sql};` },
    );
  }

  #shapeOnce(): Promise<TableShape> {
    this.#shape ??= this.#readShape().catch((error: unknown) => {
      this.#shape = undefined;
      throw error;
    });
    return this.#shape;
  }

  async #readShape(): Promise<TableShape> {
    const { shape, problems } = await this.survey();
    this.assertNone(problems);
    return shape;
  }
}

const SHAPE_CHANGED = new Set<string>(['TABLE_NOT_FOUND', 'COLUMN_NOT_FOUND', 'COLUMN_TYPE']);
