/** Texts that an exchange could send, through COPY and back. COPY_STRINGS: how many; COPY_SEED: which. */
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import { copyLine } from '../../src/writers/copy-text.ts';
import { copyRows } from '../support/batch.ts';
import { createRandom } from '../support/random.ts';
import { createDatabase } from '../support/stack.ts';

const STRINGS = Number(process.env['COPY_STRINGS'] ?? 100_000);
const SEED = Number(process.env['COPY_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const BATCH = 10_000;
const PIECES = [
  '\\',
  '\\N',
  '\\.',
  '\n\\.\n',
  '\\n',
  '\\t',
  '\\x41',
  '\\101',
  '\t',
  '\n',
  '\r',
  '\r\n',
  '\b',
  '\f',
  '\v',
  '\u0001',
  '\u007f',
  '\u2028',
  '\ufeff',
  '\uffff',
  '😀',
  'é',
  '"',
  "'",
  ',',
  'NULL',
  'BTC/USDT',
  '1e5',
  ' ',
  '',
];

test(`${STRINGS} strings come back as they were`, { timeout: 120_000 }, async () => {
  const random = createRandom(SEED);
  const below = (n: number) => Math.floor(random() * n);
  const text = () =>
    Array.from({ length: below(6) }, () => {
      if (below(3) > 0) return PIECES[below(PIECES.length)];
      // Any character that PostgreSQL takes: not NUL, no half of a pair.
      const code = 1 + below(0xfffe);
      return code >= 0xd800 && code < 0xe000 ? '\ud83d\udc0e' : String.fromCharCode(code);
    }).join('');

  const database = await createDatabase();
  onTestFinished(() => database.drop());
  const client = new Client({ connectionString: database.url });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('CREATE TABLE texts (n int, a text, b text)');
  const table = { code: 0, name: 'texts', columns: ['n', 'a', 'b'] };
  let compared = 0;
  for (let from = 0; from < STRINGS; from += 2 * BATCH) {
    const rows = Array.from({ length: BATCH }, (_, n) => [n, text(), below(50) ? text() : null]);
    await copyRows(client, table, rows.map((row) => copyLine(row as string[])).join(''));
    const { rows: stored } = await client.query({
      text: 'SELECT n, a, b FROM texts ORDER BY n',
      rowMode: 'array',
    });
    const wrong = rows.findIndex(([, a, b], i) => stored[i]?.[1] !== a || stored[i]?.[2] !== b);
    expect(wrong === -1 ? 'none' : `COPY_SEED=${SEED} ${JSON.stringify(rows[wrong])}`).toBe('none');
    compared += 2 * stored.length;
    await client.query('TRUNCATE texts');
  }
  expect(compared).toBeGreaterThanOrEqual(STRINGS);
});
