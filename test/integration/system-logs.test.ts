/** The daemon's own warnings, in the table; never in the way of anything. */
import fc from 'fast-check';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLogger, teeLogger } from '../../src/log.ts';
import { createMetrics } from '../../src/metrics.ts';
import { createLogSink, encodeLog } from '../../src/writers/log-sink.ts';
import { SYSTEM_LOGS } from '../../src/writers/tables.ts';
import { copyRows } from '../support/batch.ts';
import { startDaemon } from '../support/daemon.ts';
import { createMigrated, ENGINES } from '../support/schema.ts';
import { type TestDatabase, waitFor } from '../support/stack.ts';

let database: TestDatabase;
afterEach(() => database.drop());

describe.each(ENGINES)('$engine', ({ timescale }) => {
  beforeEach(async () => {
    database = await createMigrated(timescale);
  });

  test('a daemon writes what it warns of, with what it was about', async () => {
    // Nobody listens there: the source warns.
    const url = 'ws://127.0.0.1:9';
    const daemon = await startDaemon({
      'database.url': database.url,
      'connection.wsUrl': url,
      'connection.restUrl': 'http://127.0.0.1:9',
      'log.level': 'error',
    });
    const rows = await waitFor(
      async () => {
        const found = await database.query('SELECT * FROM system_logs ORDER BY time');
        return found.length > 0 ? found : undefined;
      },
      { what: 'a row in system_logs' },
    );
    expect(rows[0]).toMatchObject({
      level: 'warn',
      component: 'hyperfeed',
      exchange: 'binance',
      message: expect.stringMatching(/^[a-z]/) as string,
      context: {
        err: expect.objectContaining({ message: expect.any(String) as string }) as object,
      },
    });
    // Its own log is at `error`.
    expect(daemon.log.filter(({ level }) => level === 'warn')).toEqual([]);
    await daemon.daemon.stop();
    expect(daemon.daemon.isDrained()).toBe(true);
  });

  test('whatever a line holds, the table takes the row', async () => {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom('\0', '\ud800', '\\u0000', '\\', '\t\n\r', '\\N'),
      fc.double(),
      fc.jsonValue(),
    );
    const line = fc.record({
      level: fc.constantFrom('warn', 'error'),
      msg: value,
      component: fc.option(value, { nil: undefined }),
      err: value,
      long: fc.string({ maxLength: 20 }).map((text) => text.repeat(1_000)),
      more: fc.dictionary(fc.string({ unit: 'binary' }), value),
    });
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 50 }), async (lines) => {
          const time = new Date().toISOString();
          const rows = lines.map((one) => encodeLog(JSON.stringify({ ...one, time }), 'binance'));
          await copyRows(client, SYSTEM_LOGS, rows.join(''));
        }),
        { numRuns: 40 },
      );
      const texts = encodeLog(
        JSON.stringify({
          level: 'warn',
          time: '2026-11-01T00:00:00Z',
          msg: 'kept \\ \t "as" it is \u{1f600}',
          path: 'C:\\u0000\\n',
        }),
        'binance',
      );
      await client.query(
        'TRUNCATE system_logs; SELECT hyperfeed_add_partitions($$system_logs$$, ARRAY[$$2026-11-01$$::timestamptz])',
      );
      await copyRows(client, SYSTEM_LOGS, texts);
      const { rows } = await client.query('SELECT message, context FROM system_logs');
      expect(rows).toEqual([
        { message: 'kept \\ \t "as" it is \u{1f600}', context: { path: 'C:\\u0000\\n' } },
      ]);
    } finally {
      await client.end();
    }
  });
});

describe('bounded', () => {
  beforeEach(async () => {
    database = await createMigrated(false);
  });

  test('so many a minute, the rest counted; a spool that warns of its own rows does not go round', async () => {
    const metrics = createMetrics('binance');
    const sink = createLogSink({ exchange: 'binance', metrics });
    const appended: number[] = [];
    const lines: string[] = [];
    const logger = teeLogger(
      createLogger({ level: 'info', destination: { write: (line) => void lines.push(line) } }),
      sink.write,
    );
    sink.attach({
      append: (_table, _payload, rows) => {
        appended.push(rows);
        logger.warn('the spool complains of each row');
        return false;
      },
    });
    for (let i = 0; i < 100; i++) logger.warn({ i }, 'noise');
    sink.close();
    expect(appended).toEqual([60]);
    expect(lines).toHaveLength(101);
    expect(await metrics.registry.metrics()).toMatch(
      /rows_dropped_total\{reason="log_limit",exchange="binance"\} 41\n/,
    );
    logger.error('after the end');
    expect(appended).toEqual([60]);
  });

  test('lines from before the spool was opened are not lost; info is not a warning', () => {
    const sink = createLogSink({ exchange: 'binance', metrics: createMetrics('binance') });
    const logger = teeLogger(
      createLogger({ level: 'debug', destination: { write: () => undefined } }),
      sink.write,
    );
    logger.info('not this');
    logger.error({ err: new Error('host://user:secret@x/') }, 'early');
    const payloads: string[] = [];
    sink.attach({ append: (_table, payload) => payloads.push(payload.toString()) > 0 });
    expect(payloads.join('')).toMatch(/^[^\n]*\terror\thyperfeed\tbinance\tearly\t[^\n]*\n$/);
    expect(payloads.join('')).not.toContain('secret');
  });
});
