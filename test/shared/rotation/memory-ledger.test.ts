import { describeLedger } from '../../contracts/ledger.ts';
import { createMemoryLedger } from '../../support/memory-ledger.ts';

/** The fake that the crash tests run on behaves as every ledger must. */
describeLedger('memory', async () => createMemoryLedger());
