/**
 * The daemon's own warnings and errors -> spool -> system_logs, like any row.
 *
 * A line about storing makes a row to be stored, which may make a line: so there are at most so many
 * a minute, gathered and handed over by a timer, and nothing here logs. What is too much is counted,
 * and stands in the log of the process all the same.
 */
import type { Metrics } from '../metrics.ts';
import { copyLine, copyTimestamp } from './copy-text.ts';
import type { Spool } from './spool.ts';
import { SYSTEM_LOGS } from './tables.ts';

export interface LogSink {
  /** One line of the log, as JSON. */
  write(line: string): void;
  /** What came before waits for it. */
  attach(spool: Pick<Spool, 'append'>): void;
  /** Hands over what was gathered; later lines are left to the log. */
  close(): void;
}

const LINES_A_MINUTE = 60;
const MINUTE_MS = 60_000;
const GATHER_MS = 500;
const MAX_MESSAGE = 1_000;
const MAX_CONTEXT = 8_000;

export function createLogSink({
  exchange,
  metrics,
}: {
  exchange: string;
  metrics: Metrics;
}): LogSink {
  let spool: Pick<Spool, 'append'> | undefined;
  const table = SYSTEM_LOGS.name;
  let rows: string[] = [];
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let minute = { endsAt: 0, lines: 0 };

  function write(line: string): void {
    if (closed) return;
    const now = performance.now();
    if (now > minute.endsAt) minute = { endsAt: now + MINUTE_MS, lines: 0 };
    if (minute.lines++ >= LINES_A_MINUTE) {
      metrics.rowsReceived.inc({ table });
      metrics.rowsDropped.inc({ reason: 'log_limit' });
      return;
    }
    rows.push(encodeLog(line, exchange));
    if (spool) timer ??= setTimeout(flush, GATHER_MS).unref();
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (!spool || rows.length === 0) return;
    const gathered = rows;
    rows = [];
    metrics.rowsReceived.inc({ table }, gathered.length);
    const payload = Buffer.from(gathered.join(''));
    if (!spool.append(SYSTEM_LOGS.code, payload, gathered.length, Date.now() * 1000)) {
      metrics.rowsDropped.inc({ reason: 'spool_full' }, gathered.length);
    }
  }

  return {
    write,
    attach(opened) {
      spool = opened;
      flush();
    },
    close() {
      flush();
      closed = true;
    },
  };
}

/** A row that the table takes, whatever the line holds: one that it refuses would hold up the others. */
export function encodeLog(line: string, exchange: string): string {
  const { level, time, msg, component, ...context } = JSON.parse(line) as Record<string, unknown>;
  const at = Date.parse(String(time));
  return copyLine([
    copyTimestamp((Number.isNaN(at) ? Date.now() : at) * 1000),
    textOf(level, 10),
    textOf(component ?? 'hyperfeed', 100),
    exchange,
    textOf(msg, MAX_MESSAGE),
    jsonOf(context),
  ]);
}

function textOf(value: unknown, maxLength: number): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.slice(0, maxLength).replaceAll('\0', '\uFFFD').toWellFormed();
}

/** JSONB takes neither NUL nor half a surrogate pair, both of which JSON.stringify escapes. */
function jsonOf(context: Record<string, unknown>): string {
  const json = JSON.stringify(context).replaceAll(/\\(?:u[0-9a-f]{4}|.)/g, (escape) =>
    /^\\u(0000|d[89a-f]..)$/.test(escape) ? '\uFFFD' : escape,
  );
  if (json.length <= MAX_CONTEXT) return json;
  return JSON.stringify({ truncated: json.slice(0, MAX_CONTEXT).toWellFormed() });
}
