/**
 * PostgreSQL is away until the disk of the spool is full, by its cap or in earnest. When both are back
 * no trade is missing or doubled, and of what could not be kept ingest_gaps says so.
 */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  freshDatabase,
  rowsOf,
  type Settings,
  simulate,
  startDaemon,
  storedTrades,
} from '../support/daemon.ts';
import { startProxy } from '../support/proxy.ts';
import { canMount, smallDisk } from '../support/small-disk.ts';
import { waitFor } from '../support/stack.ts';

const SYMBOLS = ['BTC/USDT', 'ETH/USDT'];
const MIB = 1024 * 1024;
const DISK_MIB = 32;

interface StatusPage {
  readonly reasons: readonly { code: string; severity: string }[];
  readonly parts: {
    readonly store: { readonly spool: { unwrittenBytes: number; pressure: string } };
  };
}

/** A daemon that has stored something, on a disk that is small, and whose database is then gone. */
async function startWithoutDatabase(folder: string, settings: Settings = {}) {
  const simulation = await simulate({ tradesPerSecond: 0, historyCandles: 0 });
  const database = await freshDatabase();
  const proxy = await startProxy(database.url);
  const daemon = await startDaemon({
    ...simulation.settings,
    channels: ['trades', 'order_book'],
    'orderBook.snapshotIntervalMs': 100,
    'database.url': proxy.url,
    'spool.directory': folder,
    'spool.memoryBytes': 65_536,
    'spool.unwrittenBytes': 262_144,
    ...settings,
  });
  await simulation.subscribed(4);
  await waitFor(() => daemon.logged('storing').length > 0, { what: 'the schema' });
  for (const symbol of SYMBOLS) await simulation.burst(symbol, 10);
  await waitFor(async () => (await storedTrades(database)).length === 20, { what: 'first trades' });
  proxy.refuse(true);
  proxy.reset();

  const dropped = (reason: string) => daemon.value('rowsDropped', { reason });
  const reasons = async () => {
    const { reasons: all } = await daemon.page<StatusPage>('/health');
    return all.map(({ code, severity }) => `${code} ${severity}`);
  };

  const spool = async () => (await daemon.page<StatusPage>('/status')).parts.store.spool;

  /** Until the disk is that full, and then until so many rows were dropped for it. */
  async function fill(pressure: string, reason: string, count: number): Promise<void> {
    const trades = () => daemon.value('rowsReceived', { table: 'trades' });
    await waitFor(
      async () => {
        if ((await dropped(reason)) >= count) return true;
        if (pressure !== 'full' && (await spool()).pressure === pressure) return false;
        // What was sent is taken in before more is sent.
        if ((await trades()) < simulation.counters().trades) return false;
        for (const symbol of SYMBOLS) await simulation.burst(symbol, 300);
        return false;
      },
      { what: `${count} rows dropped for ${reason}`, timeoutMs: 40_000 },
    );
  }

  /** The database is back: all trades come to be in it, once, and nothing is still to be refilled. */
  async function recovers(): Promise<void> {
    proxy.refuse(false);
    const complete = async () =>
      (await storedTrades(database)).length >= simulation.counters().trades;
    await waitFor(complete, { what: 'all trades', timeoutMs: 40_000 });
    expect(await storedTrades(database)).toEqual(rowsOf(await simulation.journal()));
    await daemon.drained();
    expect(await daemon.value('accountingError')).toBe(0);
    const isWell = async () => !(await reasons()).some((reason) => reason.startsWith('spool'));
    await waitFor(isWell, { what: 'health' });
    for (const gap of (await gaps()).filter(({ channel }) => channel === 'trades')) {
      expect(gap).toMatchObject({ status: 'filled', by_time: false });
    }
  }

  const gaps = () =>
    database.query<Record<string, unknown>>(
      `SELECT channel, symbol, status, reason, from_id IS NULL AS by_time, from_time <= to_time AS ordered
         FROM ingest_gaps ORDER BY channel, symbol, reason`,
    );
  return { daemon, dropped, reasons, spool, fill, recovers, gaps };
}

const byTime = (reason: string) =>
  SYMBOLS.map((symbol) => {
    const row = { channel: 'order_book', symbol, status: 'unfillable', reason };
    return { ...row, by_time: true, ordered: true };
  });

test.runIf(canMount)(
  'at its cap: books become fewer, then none, then trades wait in memory and are refilled by their ids',
  { timeout: 180_000 },
  async () => {
    const folder = await smallDisk(DISK_MIB);
    const world = await startWithoutDatabase(folder, { 'spool.maxBytes': 4 * MIB });
    await world.fill('thin', 'spool_80', 20);
    expect(await world.dropped('spool_90')).toBe(0);
    expect(await world.dropped('spool_full')).toBe(0);
    expect(await world.reasons()).toContain('spool_80 failing');
    await world.fill('no_books', 'spool_90', 4);
    await world.fill('full', 'spool_full', 2_000);
    expect(await world.reasons()).toContain('spool_full failing');
    expect((await world.spool()).unwrittenBytes).toBeGreaterThan(200_000);

    await world.recovers();
    await waitFor(async () => (await world.gaps()).length >= 6, { what: 'the intervals' });
    const gaps = await world.gaps();
    expect(gaps).toEqual(expect.arrayContaining([...byTime('spool_80'), ...byTime('spool_90')]));
    expect(gaps.filter(({ channel }) => channel === 'trades').length).toBeGreaterThan(0);
  },
);

test.runIf(canMount)(
  'a disk that is full in earnest: the daemon goes on, and writes when there is space again',
  { timeout: 180_000 },
  async () => {
    const folder = await smallDisk(DISK_MIB);
    const world = await startWithoutDatabase(folder);
    expect(world.daemon.logged('spool is capped at 80 % of its small volume')).toHaveLength(1);
    const ballast = join(folder, 'ballast');
    await writeFile(ballast, Buffer.alloc((DISK_MIB - 4) * MIB));
    await world.fill('full', 'spool_full', 2_000);
    expect(await world.reasons()).toContain('spool_full failing');
    expect(world.daemon.logged('disk of the spool is full').length).toBeGreaterThan(0);
    expect(await world.daemon.value('spoolErrors', { operation: 'write' })).toBeGreaterThan(0);

    // Space alone is enough for the rows that wait; the database comes back later.
    await rm(ballast);
    await waitFor(async () => (await world.spool()).unwrittenBytes === 0, {
      what: 'rows that waited to be on disk',
    });
    await world.recovers();
    await waitFor(async () => (await world.gaps()).length >= 4, { what: 'the intervals' });
    expect(await world.gaps()).toEqual(expect.arrayContaining(byTime('spool_full')));
    expect(await world.daemon.value('spoolCorruptFrames')).toBe(0);
  },
);

test.runIf(canMount)(
  'a disk that is full at the start: no refusal, and all is stored in the end',
  async () => {
    const folder = await smallDisk(DISK_MIB);
    const ballast = join(folder, 'ballast');
    await expect(writeFile(ballast, Buffer.alloc((DISK_MIB + 1) * MIB))).rejects.toThrow('ENOSPC');
    const simulation = await simulate({ tradesPerSecond: 0, historyCandles: 0 });
    const database = await freshDatabase();
    const daemon = await startDaemon({
      ...simulation.settings,
      channels: ['trades'],
      'database.url': database.url,
      'spool.directory': folder,
    });
    await simulation.subscribed(2);
    await waitFor(() => daemon.logged('storing').length > 0, { what: 'the schema' });
    for (const symbol of SYMBOLS) await simulation.burst(symbol, 500);
    await waitFor(() => daemon.logged('disk of the spool is full').length > 0, {
      what: 'a full disk',
    });
    expect(await storedTrades(database)).toEqual([]);
    await rm(ballast);
    await waitFor(async () => (await storedTrades(database)).length === 1_000, {
      what: 'all trades',
    });
    expect(await storedTrades(database)).toEqual(rowsOf(await simulation.journal()));
    expect(await daemon.value('rowsDropped')).toBe(0);
  },
);
