/**
 * What is missing and has no ids to be known by: from when to when, of which stream, and why.
 *
 *   dropped -> remembered, in the reserve too -> room again -> row of ingest_gaps -> forgotten
 *
 * A crash between the last two says it twice, rather than not at all; one right after a drop may
 * forget a second of it. Of trades whose ids count up
 * the last one dropped is kept, and stored after all: behind it the gap ledger sees the hole in the
 * ids, and refills it.
 */
import { messageOf } from '../errors.ts';
import type { Channel, MarketEvent, Micros } from '../ingest/events.ts';
import { createRateLimitedLogger, type Logger } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import { copyCell, copyLine, copyTimestamp } from './copy-text.ts';
import type { Spool } from './spool.ts';
import type { Pending } from './spool-appender.ts';
import { FRAME_ROWS } from './spool-format.ts';
import { openReserve, type Reserve } from './spool-reserve.ts';
import { INGEST_GAPS, type Table, tableOf, TABLES } from './tables.ts';

/** An interval in which something of a stream is missing, as far as we know nothing else. */
export interface TimeGap {
  readonly channel: Channel;
  readonly symbol: string;
  readonly fromTime: Micros;
  readonly toTime: Micros;
  /** From a closed set: it is stored, and counted. */
  readonly reason: string;
}

/** Times as COPY takes them: they compare as text. */
interface Loss {
  readonly channel: Channel;
  readonly symbol: string;
  readonly reason: string;
  fromTime: string;
  toTime: string;
  rows: number;
  /** Of trades, where ids are numbers. */
  firstId?: string;
  lastId?: string;
  lastRow?: string;
}

export interface LossesOptions {
  readonly exchange: string;
  readonly spool: Pick<Spool, 'folder' | 'append' | 'flush' | 'pressure'>;
  /** Trades are found missing by their ids. */
  readonly tradeIds: boolean;
  readonly metrics: Pick<Metrics, 'gapsDetected' | 'rowsDropped' | 'rowsReceived'>;
  readonly logger: Logger;
}

export type Losses = Awaited<ReturnType<typeof createLosses>>;

const TICK_MS = 1_000;
/** More streams than that share an entry: the reserve is of a fixed size. */
const MAX_LOSSES = 800;
const ANY_SYMBOL = '*';
const WHOLE_NUMBER = /^\d+$/;

const CHANNELS = new Map<Table, Channel>([
  [TABLES.trade, 'trades'],
  [TABLES.candle, 'candles'],
  [TABLES.order_book, 'order_book'],
]);

export async function createLosses(options: LossesOptions) {
  const { exchange, spool, metrics, logger } = options;
  const limited = createRateLimitedLogger(logger);
  let reserve: Reserve | undefined;
  let losses = new Map<string, Loss>();
  /** On their way to disk as rows. */
  let reported: readonly Loss[] = [];
  let reporting: Promise<void> | undefined;
  let changed = false;
  const closing = new AbortController();
  let working: Promise<void> | undefined;
  const ticking = setInterval(() => void (working ??= tick().finally(done)), TICK_MS).unref();

  await useReserve();

  function done(): void {
    working = undefined;
  }

  /** At the first attempt it also says what a former run left in it. */
  async function useReserve(): Promise<void> {
    try {
      reserve ??= await openReserve(spool.folder);
    } catch (error) {
      limited.warn({ err: error }, 'reserve of the spool cannot be made: too little disk');
      return;
    }
    const { content } = reserve;
    const known = (Array.isArray(content) ? content : []) as readonly Loss[];
    for (const loss of known) add(loss);
    changed = losses.size > known.length;
  }

  function add(loss: Loss): void {
    const crowded = losses.size >= MAX_LOSSES;
    const symbol = crowded && !losses.has(keyOf(loss)) ? ANY_SYMBOL : loss.symbol;
    const key = keyOf({ ...loss, symbol });
    const known = losses.get(key);
    changed = true;
    if (!known) {
      losses.set(key, { ...loss, symbol });
      return;
    }
    known.rows += loss.rows;
    if (loss.fromTime < known.fromTime) known.fromTime = loss.fromTime;
    if (loss.toTime > known.toTime) known.toTime = loss.toTime;
    if (loss.lastId && loss.lastRow && BigInt(loss.lastId) > BigInt(known.lastId ?? -1)) {
      known.firstId ??= loss.firstId ?? loss.lastId;
      known.lastId = loss.lastId;
      known.lastRow = loss.lastRow;
    }
  }

  /** Remembers rows that were not spooled. */
  function dropped(table: Table, rows: string, reason: string): void {
    const channel = CHANNELS.get(table);
    if (!channel) return;
    for (const line of rows.split('\n')) {
      if (line === '') continue;
      const [time = '', symbol = '', , id = ''] = line.split('\t').map(copyCell);
      const isNumber = channel === 'trades' && WHOLE_NUMBER.test(id);
      const ids = isNumber && { firstId: id, lastId: id, lastRow: `${line}\n` };
      add({ channel, symbol, reason, fromTime: time, toTime: time, rows: 1, ...ids });
    }
  }

  /** Remembers an event of which no row was made. */
  function withheld({ type, symbol, time }: MarketEvent, reason: string): void {
    const at = copyTimestamp(time);
    const channel = CHANNELS.get(TABLES[type]) ?? 'trades';
    add({ channel, symbol, reason, fromTime: at, toTime: at, rows: 1 });
  }

  /** Also of what was never received, such as while a feed was cut. */
  function recordGap({ channel, symbol, fromTime, toTime, reason }: TimeGap): void {
    const from = copyTimestamp(fromTime);
    const loss = {
      channel,
      symbol,
      reason,
      fromTime: from,
      toTime: copyTimestamp(toTime),
      rows: 0,
    };
    if (!losses.has(keyOf(loss)) && spool.pressure() !== 'full' && append([loss])) return;
    add(loss);
  }

  async function tick(): Promise<void> {
    if (!reserve) await useReserve();
    const mayReport = reported.length === 0 && spool.pressure() === 'roomy';
    if (losses.size > 0 && mayReport) report();
    // Also while those are on their way: the disk may be full again before they are there.
    if (changed) await remember();
  }

  /** They become rows, and are forgotten once those are on disk. */
  function report(): void {
    const all = [...losses.values()];
    const byIds = all.filter(({ channel }) => options.tradeIds && channel === 'trades');
    const gaps = all.filter((loss) => !byIds.includes(loss));
    // First what may be said twice: the table knows such a row, and of intervals it keeps each.
    const last = byIds.flatMap(({ lastRow }) => lastRow ?? []);
    if (last.length > 0 && !appendRows(TABLES.trade, last)) return;
    if (gaps.length > 0 && !append(gaps)) return;
    for (const { symbol, rows, firstId, lastId } of byIds) {
      logger.info(
        { symbol, rows, firstId, lastId },
        'room again: dropped trades are refilled by id',
      );
    }
    losses = new Map();
    reported = all;
    reporting = forgetOnceOnDisk();
  }

  async function forgetOnceOnDisk(): Promise<void> {
    await spool.flush(closing.signal);
    if (closing.signal.aborted) return;
    reported = [];
    changed = true;
  }

  function append(gaps: readonly Loss[]): boolean {
    const now = copyTimestamp(Date.now() * 1000);
    const rows = gaps.map((gap) =>
      copyLine([
        exchange,
        gap.channel,
        gap.symbol,
        gap.fromTime,
        gap.toTime,
        'unfillable',
        gap.reason,
        now,
      ]),
    );
    if (!appendRows(INGEST_GAPS, rows)) return false;
    for (const { channel } of gaps) metrics.gapsDetected.inc({ channel });
    return true;
  }

  function appendRows({ code, name }: Table, rows: readonly string[]): boolean {
    const payload = Buffer.from(rows.join(''));
    if (!spool.append(code, payload, rows.length, Date.now() * 1000)) return false;
    metrics.rowsReceived.inc({ table: name }, rows.length);
    return true;
  }

  async function remember(): Promise<void> {
    if (!reserve) return;
    changed = false;
    try {
      await reserve.write([...reported, ...losses.values()]);
    } catch (error) {
      changed = true;
      limited.error({ err: messageOf(error) }, 'what is missing could not be written down');
    }
  }

  return {
    dropped,
    withheld,
    recordGap,
    /** What is missing and not a row yet. */
    pending: (): number => losses.size,
    /** Writes down what is known, with the rows that the disk did not take before the end. */
    async close(unwritten: readonly Pending[]): Promise<void> {
      clearInterval(ticking);
      closing.abort();
      await working;
      await reporting;
      for (const frame of unwritten) {
        metrics.rowsDropped.inc({ reason: 'spool_full' }, frame.rows);
        if (frame.type === FRAME_ROWS) {
          dropped(tableOf(frame.table), frame.payload.toString(), 'spool_full');
        }
      }
      if (changed) await remember();
    },
  };
}

function keyOf({ channel, symbol, reason }: Pick<Loss, 'channel' | 'symbol' | 'reason'>): string {
  return `${channel} ${symbol} ${reason}`;
}
