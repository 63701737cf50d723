/** The status of a daemon, for people. */
import { ADVICE } from './status-advice.ts';
import { textTable } from './text-table.ts';

/** As much of /status as is shown; an older or newer daemon may leave out any part. */
export interface DaemonStatus {
  readonly status: string;
  readonly exchange: string;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly reasons: readonly {
    readonly part: string;
    readonly code: string;
    readonly severity: string;
    readonly detail: string;
  }[];
  readonly parts: {
    readonly feed?: {
      readonly connections: { readonly open: number; readonly wanted: number };
      readonly streams: readonly Stream[];
    };
    readonly store?: {
      readonly state: string;
      readonly role?: string;
      readonly lagMs: number;
      readonly spool: { readonly segments: number; readonly bytes: number };
      readonly engine?: {
        readonly edition: string;
        readonly postgres: string;
        readonly timescaledb: string | null;
      };
    };
    readonly redis?: {
      readonly connected: boolean;
      readonly keys: number;
      readonly unwritten: number;
    };
    readonly mirror?: { readonly state: string };
    readonly gaps?: { readonly open: number; readonly missing: number };
    readonly retention?: {
      readonly lastRunAt: string | null;
      readonly nextRunAt: string | null;
    };
  };
}

interface Stream {
  readonly symbol: string;
  readonly channel: string;
  readonly state: string;
  readonly silentMs: number;
  readonly messages: number;
  readonly provenance: string;
}

/** An answer, and when it came, in ms of a monotonic clock. */
export interface Look {
  readonly status: DaemonStatus;
  readonly atMs: number;
}

const COLUMNS = ['SYMBOL', 'CHANNEL', 'STATE', 'SILENT', 'MESSAGES'];

/** `before`: a former look, for the messages per second since then. */
export function statusScreen(url: string, look: Look, before?: Look): string {
  const { exchange, status, version, uptimeSeconds, reasons, parts } = look.status;
  const head = `${exchange}: ${status.toUpperCase()}   version ${version}, up ${duration(uptimeSeconds)}, ${url}`;
  const text = [
    head,
    ...reasons.flatMap(({ part, code, severity, detail }) => [
      `  ${severity} (${part}, ${code}): ${detail}`,
      ...(ADVICE[code] === undefined ? [] : [`    -> ${ADVICE[code]}`]),
    ]),
    '',
    ...(parts.feed ? [streamTable(parts.feed.streams, look, before)] : []),
    ...partLines(parts).map(([name, line]) => `${name.padEnd(11)}${line}`),
    '',
  ].join('\n');
  // Words of an exchange or a database shall not steer a terminal.
  return text.replaceAll(/[^\P{Cc}\n]/gu, '?');
}

function streamTable(streams: readonly Stream[], look: Look, before?: Look): string {
  const earlier = new Map(
    before?.status.parts.feed?.streams.map((stream) => [keyOf(stream), stream.messages]),
  );
  const seconds = (look.atMs - (before?.atMs ?? 0)) / 1000;
  const rows = streams.map((stream) => {
    const former = earlier.get(keyOf(stream));
    const rate = former === undefined ? null : (stream.messages - former) / seconds;
    return [
      stream.symbol,
      stream.channel,
      stream.state,
      duration(stream.silentMs / 1000),
      stream.messages,
      // A daemon that was started anew counts from 0.
      ...(before ? [rate === null || rate < 0 ? null : rate.toFixed(1)] : []),
      stream.provenance,
    ];
  });
  return textTable([...COLUMNS, ...(before ? ['PER SECOND'] : []), 'COMPLETE BY'], rows);
}

const keyOf = ({ symbol, channel }: Stream) => `${channel} ${symbol}`;

function* lines({ feed, store, redis, mirror, gaps, retention }: DaemonStatus['parts']) {
  if (feed) {
    const { open, wanted } = feed.connections;
    yield ['exchange', `${open} of ${wanted} connections`] as const;
  }
  if (store) {
    const { state, role, lagMs, spool, engine } = store;
    yield [
      'database',
      [engine ? describe(engine) : 'not reached yet', state, role]
        .filter((part) => part !== undefined)
        .join(', '),
    ] as const;
    const waits = spool.bytes === 0 ? '' : `, the oldest row waits for ${duration(lagMs / 1000)}`;
    yield ['spool', `${size(spool.bytes)} in ${count(spool.segments, 'segment')}${waits}`] as const;
  }
  if (redis) {
    const { connected, keys, unwritten } = redis;
    const state = connected ? 'connected' : 'NOT connected';
    yield ['redis', `${state}, ${count(keys, 'key')}, ${unwritten} to be written`] as const;
  }
  if (mirror) yield ['mirror', mirror.state] as const;
  if (gaps) {
    const { open, missing } = gaps;
    const what = open === 0 ? 'none open' : `${open} open, ${count(missing, 'trade')} missing`;
    yield ['gaps', what] as const;
  }
  if (retention) {
    const { lastRunAt, nextRunAt } = retention;
    yield ['retention', `ran ${lastRunAt ?? 'not yet'}, next ${nextRunAt ?? 'open'}`] as const;
  }
}

const partLines = (parts: DaemonStatus['parts']) => [...lines(parts)];

type ShownEngine = NonNullable<NonNullable<DaemonStatus['parts']['store']>['engine']>;

function describe({ postgres, timescaledb, edition }: ShownEngine): string {
  const extension = timescaledb === null ? '' : ` with TimescaleDB ${timescaledb} (${edition})`;
  return `PostgreSQL ${postgres}${extension}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

/** `850 ms`, `12 s`, `5 min`, `3 h 20 min`, `4 d 2 h` */
function duration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** `12.3 MiB` */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
