/** Batches as the spool would give them, for tests that begin at the store's transaction. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { MarketEvent } from '../../src/ingest/events.ts';
import type { Batch, SpooledFrame } from '../../src/writers/spool.ts';
import { FRAME_ROWS } from '../../src/writers/spool-format.ts';
import { encodeRow, type Table, TABLES } from '../../src/writers/tables.ts';

export type Batches = (events: readonly MarketEvent[]) => Batch;

/** Of one epoch: one frame for each table, numbered on. */
export function createBatches(): Batches {
  const epoch = randomBytes(8).toString('hex');
  let seq = 0;
  return (events) => {
    const frames = [...Map.groupBy(events, (event) => event.type)].map(([type, rows]) => ({
      seq: ++seq,
      type: FRAME_ROWS,
      table: TABLES[type].code,
      payload: Buffer.from(rows.map(encodeRow).join('')),
      rows: rows.length,
      // The store looks at neither: where a frame lies is the spool's.
      segment: undefined as unknown as SpooledFrame['segment'],
      end: 0,
    }));
    return { epoch, frames, rows: events.length };
  };
}

export async function copyRows(client: Client, table: Table, text: string): Promise<void> {
  const stream = client.query(
    copyFrom(`COPY ${table.name} (${table.columns.join(', ')}) FROM STDIN`),
  );
  await pipeline(Readable.from([text]), stream);
}
