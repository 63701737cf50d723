/** What an outage of hours left is read in a memory of its own size, not of the outage's. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { encodeFrames, encodeSegmentHeader } from '../../src/writers/spool-format.ts';
import { usedMemory } from '../support/daemon.ts';
import { never, spoolFolder } from '../support/spool.ts';

const MIB = 1024 * 1024;
const SEGMENTS = 16;
const SEGMENT_BYTES = 8 * MIB;
const EPOCH = '0123456789abcdef';
const ROW = `2026-03-01 12:00:00.001000+00\tBTC/USDT\tbinance\t1234567\tbuy\t60000.12345678\t0.00010000\n`;

test(`${(SEGMENTS * SEGMENT_BYTES) / MIB} MiB of segments are read in bounded memory`, async () => {
  const { folder, open, segments } = await spoolFolder();
  await mkdir(folder);
  const payload = Buffer.from(ROW.repeat(300));
  const frames = Math.floor(SEGMENT_BYTES / payload.length);
  for (let generation = 1; generation <= SEGMENTS; generation++) {
    const firstSeq = (generation - 1) * frames + 1;
    const header = encodeSegmentHeader({ exchange: 'binance', epoch: EPOCH, firstSeq });
    const list = Array.from({ length: frames }, (_, i) => {
      return { seq: firstSeq + i, type: 1 as const, table: 1, payload };
    });
    const name = `${String(generation).padStart(16, '0')}-${EPOCH}.seg`;
    await writeFile(join(folder, name), Buffer.concat([header, encodeFrames(list)]));
  }

  usedMemory();
  const before = usedMemory();
  const spool = await open();
  spool.end();
  let rows = 0;
  let most = 0;
  let batches = 0;
  const limits = { maxRows: 5_000, maxBytes: MIB, maxDelayMs: 0 };
  for (
    let batch = await spool.read(limits, never);
    batch;
    batch = await spool.read(limits, never)
  ) {
    rows += batch.rows;
    if (batches++ % 8 === 0) most = Math.max(most, usedMemory() - before);
    await spool.release(batch);
  }
  expect(rows).toBe(SEGMENTS * frames * 300);
  expect(await segments()).toEqual([]);
  console.log(`read with ${(most / MIB).toFixed(1)} MiB`);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(48 * MIB);
});
