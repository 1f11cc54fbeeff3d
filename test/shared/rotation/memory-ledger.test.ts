import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { describeLedger } from '../../contracts/ledger.ts';

/** The fake that the crash tests run on behaves as every ledger must. */
describeLedger('memory', async () => createMemoryLedger());
