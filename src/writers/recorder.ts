/**
 * Sink: makes each event a row, once, and hands the rows of a moment to the spool together.
 */
import type { Config } from '../config.ts';
import type { MarketEvent, Micros } from '../ingest/events.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { createThinning } from './book-thinning.ts';
import type { Losses } from './losses.ts';
import type { EventSink } from './sink.ts';
import type { Spool } from './spool.ts';
import { encodeRow, rejectionOf, type Table, TABLES } from './tables.ts';

export interface RecorderOptions {
  readonly spool: Pick<Spool, 'append' | 'pressure'>;
  /** Remembers what cannot be spooled; without it that is only counted. */
  readonly losses?: Pick<Losses, 'dropped' | 'withheld'> | undefined;
  readonly config: Pick<Config['spool'], 'fsync' | 'groupMs' | 'groupBytes'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

export interface Recorder extends EventSink {
  /** Hands over what was gathered. */
  flush(): void;
}

/** Rows of one table since the last hand-over. */
interface Group {
  readonly table: Table;
  text: string;
  rows: number;
  oldestReceivedAt: Micros;
}

export function createRecorder(options: RecorderOptions): Recorder {
  const { spool, losses, config, metrics, logger } = options;
  const limited = createRateLimitedLogger(logger);
  const isHeldBack = createThinning({ spool, losses, metrics });
  const groups = new Map<MarketEvent['type'], Group>();
  for (const [type, table] of Object.entries(TABLES) as [MarketEvent['type'], Table][]) {
    groups.set(type, { table, text: '', rows: 0, oldestReceivedAt: 0 });
  }
  const groupMs = config.fsync === 'always' ? 0 : config.groupMs;
  let gathered = 0;
  let timer: NodeJS.Timeout | undefined;

  function push(event: MarketEvent): void {
    const group = groups.get(event.type);
    if (!group) return;
    const rejection = rejectionOf(event);
    if (rejection) {
      metrics.rowsRejected.inc({ reason: rejection });
      limited.warn({ reason: rejection, event }, 'row refused');
      return;
    }
    if (event.type === 'order_book' && isHeldBack(event)) return;
    const row = encodeRow(event);
    if (group.rows === 0) group.oldestReceivedAt = event.receivedAt;
    group.text += row;
    group.rows++;
    gathered += row.length;
    if (gathered >= config.groupBytes) flush();
    else timer ??= setTimeout(flush, groupMs);
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    gathered = 0;
    for (const group of groups.values()) {
      if (group.rows === 0) continue;
      const { table, rows, text, oldestReceivedAt } = group;
      group.text = '';
      group.rows = 0;
      metrics.rowsReceived.inc({ table: table.name }, rows);
      if (!spool.append(table.code, Buffer.from(text), rows, oldestReceivedAt)) {
        metrics.rowsDropped.inc({ reason: 'spool_full' }, rows);
        losses?.dropped(table, text, 'spool_full');
        limited.error({ table: table.name, rows }, 'rows dropped: the spool does not keep up');
      }
    }
  }

  return { push, flush };
}
