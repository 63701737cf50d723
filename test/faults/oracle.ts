/**
 * The journal of the exchange against the tables, by SQL alone, every row and every column of it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { psql } from './psql.ts';

export interface Comparison {
  /** Rows that the exchange published. */
  readonly emitted: number;
  readonly lost: number;
  readonly doubled: number;
  /** A column differs. */
  readonly changed: number;
  /** Stored, and never published. */
  readonly foreign: number;
}

export interface Verdict {
  readonly trades: Comparison;
  readonly candles: Comparison;
}

export interface Question {
  readonly databaseUrl: string;
  readonly journalPath: string;
  /** Candles that were closed within these, in ms: before, nobody listened. */
  readonly candlesFrom: number;
  readonly candlesTo: number;
}

const MINUTE_MS = 60_000;

export async function compare(question: Question): Promise<Verdict> {
  const output = await psql(
    question.databaseUrl,
    `${await views(question)}
     SELECT json_build_object('trades', (${counts('trades', 'symbol, id')}),
                              'candles', (${counts('candles', 'symbol, time')}))`,
  );
  return JSON.parse(output) as Verdict;
}

/** The first hundred that are missing, and what the daemon says of gaps. */
export async function lostRows(question: Question): Promise<string> {
  return psql(
    question.databaseUrl,
    `${await views(question)}
     SELECT e.* FROM emitted_trades e LEFT JOIN stored_trades s USING (symbol, id)
      WHERE s.id IS NULL ORDER BY symbol, id::numeric LIMIT 100;
     SELECT e.* FROM emitted_candles e LEFT JOIN stored_candles s USING (symbol, time)
      WHERE s.symbol IS NULL;
     SELECT * FROM ingest_gaps ORDER BY id;
     SELECT * FROM ingest_cursor;`,
  );
}

/** What was published and what is stored, in the same columns. */
async function views({ journalPath, candlesFrom, candlesTo }: Question): Promise<string> {
  const path = await wholeLines(journalPath);
  return `
     CREATE TEMP TABLE line (j jsonb);
     \\copy line FROM '${path}' WITH (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')
     CREATE TEMP VIEW emitted_trades AS
       SELECT j->>'symbol' AS symbol, j->>'id' AS id, j->>'side' AS side, j->>'price' AS price,
              j->>'qty' AS quantity, ${time('j')} AS time
         FROM line WHERE j->>'type' = 'trade';
     CREATE TEMP VIEW stored_trades AS
       SELECT symbol, trade_id AS id, side, price::text, quantity::text, time FROM trades
        WHERE exchange = 'binance';
     CREATE TEMP VIEW emitted_candles AS
       SELECT j->>'symbol' AS symbol, ${time('j')} AS time, j->>'open' AS open, j->>'high' AS high,
              j->>'low' AS low, j->>'close' AS close, j->>'volume' AS volume, (j->>'trades')::int AS trades
         FROM line WHERE j->>'type' = 'candle'
          AND (j->>'time')::bigint + ${MINUTE_MS} BETWEEN ${candlesFrom} AND ${candlesTo};
     CREATE TEMP VIEW stored_candles AS
       SELECT symbol, time, open::text, high::text, low::text, close::text, volume::text, trades
         FROM market_data WHERE exchange = 'binance'
          AND time + interval '1 minute' BETWEEN to_timestamp(${candlesFrom} / 1000.0) AND to_timestamp(${candlesTo} / 1000.0);`;
}

/** Milliseconds, without a float. */
function time(line: string): string {
  const ms = `(${line}->>'time')::bigint`;
  return `to_timestamp(${ms} / 1000) + ${ms} % 1000 * INTERVAL '1 ms'`;
}

function counts(kind: string, key: string): string {
  const [emitted, stored] = [`emitted_${kind}`, `stored_${kind}`];
  const missing = (a: string, b: string, columns: string) =>
    `(SELECT count(*) FROM (SELECT ${columns} FROM ${a} EXCEPT SELECT ${columns} FROM ${b}) m)`;
  return `SELECT json_build_object(
    'emitted', (SELECT count(*) FROM ${emitted}),
    'lost', ${missing(emitted, stored, key)},
    'doubled', (SELECT count(*) - count(DISTINCT (${key})) FROM ${stored}),
    'changed', ${missing(emitted, stored, '*')} - ${missing(emitted, stored, key)},
    'foreign', ${missing(stored, emitted, key)})`;
}

/** The exchange may be in the middle of a line. */
async function wholeLines(journalPath: string): Promise<string> {
  const text = await readFile(journalPath, 'utf8').catch(() => '');
  const path = `${journalPath}.whole`;
  await writeFile(path, text.slice(0, text.lastIndexOf('\n') + 1));
  return path;
}

/** What is wrong, in words; empty: nothing. */
export function faultsOf({ trades, candles }: Verdict): string[] {
  const problems: string[] = [];
  for (const [kind, found] of Object.entries({ trades, candles })) {
    for (const what of ['lost', 'doubled', 'changed', 'foreign'] as const) {
      if (found[what] > 0) problems.push(`${found[what]} of ${found.emitted} ${kind} ${what}`);
    }
  }
  return problems;
}
