/**
 * The configuration: one zod schema, every key with its default. config/default.yaml documents the
 * same keys; a test keeps the two equal.
 */
import { z } from 'zod';

const ms = (value: number) => z.int().positive().default(value);
const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`,
  });
/** A section whose keys all have defaults may be left out. */
const section = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({});

export const configSchema = z.strictObject({
  /** Exchange id of the registry; one daemon streams one exchange. */
  exchange: z
    .string()
    .regex(/^[a-z0-9:_-]+$/)
    .default('binance'),
  /** Unified symbols. */
  symbols: z
    .array(z.string().regex(/^[^\s/]+\/[^\s/:]+(:[^\s]+)?$/, 'must look like BTC/USDT'))
    .min(1)
    .default(['BTC/USDT', 'ETH/USDT']),
  channels: z
    .array(z.enum(['trades', 'candles', 'order_book']))
    .min(1)
    .default(['trades', 'candles', 'order_book']),

  connection: section({
    /** Base URLs instead of the exchange's own: simulator, proxy, another host of the exchange. */
    wsUrl: url('ws:', 'wss:').optional(),
    restUrl: url('http:', 'https:').optional(),
    openTimeoutMs: ms(10_000),
    /** Every subscription must be acknowledged within this time. */
    ackTimeoutMs: ms(10_000),
    /** Nothing at all on a socket, not even a ping, for this long: it is replaced. */
    silenceTimeoutMs: ms(60_000),
    /** A stream that is silent for longer (or than ten times its usual pause) is stale. */
    staleAfterMs: section({
      trades: ms(10_000),
      candles: ms(120_000),
      order_book: ms(10_000),
    }),
    /** Replaced by a fresh socket at this age, before the exchange cuts it; less a random tenth. */
    maxAgeMs: ms(23 * 3_600_000),
    reconnect: section({
      minDelayMs: ms(250),
      maxDelayMs: ms(30_000),
      /** The delay falls back to the minimum only after a connection was well for this long. */
      healthyAfterMs: ms(10_000),
    }),
  }),

  orderBook: section({
    /** Levels a side, in Redis and in the table. */
    depth: z.int().min(1).max(1000).default(20),
    /** A row in order_book at most this often per symbol, on grid points of the wall clock. */
    snapshotIntervalMs: z.int().min(100).max(86_400_000).default(1000),
  }),

  database: section({
    /** Also DATABASE_URL or DATABASE_URL_FILE. */
    url: url('postgres:', 'postgresql:').optional(),
    connectTimeoutMs: ms(5_000),
    /** A COPY that takes longer counts as dead, and its socket is destroyed. */
    copyTimeoutMs: ms(30_000),
    statementTimeoutMs: ms(10_000),
    /** Migrate at start-up. Off: verify only. */
    migrate: z.boolean().default(true),
    batch: section({
      maxRows: z.int().min(1).max(1_000_000).default(5_000),
      maxBytes: z
        .int()
        .min(1024)
        .default(1024 * 1024),
      /** A row waits at most this long for others to share its transaction. */
      maxDelayMs: z.int().min(0).max(60_000).default(50),
    }),
  }),

  spool: section({
    /** One folder per exchange is made in it. */
    directory: z.string().min(1).default('./spool'),
    /** group: fdatasync every 20 ms; os: never (survives kill -9, not a power cut); always: each write. */
    fsync: z.enum(['group', 'os', 'always']).default('group'),
    groupMs: z.int().min(1).max(1000).default(20),
    groupBytes: z
      .int()
      .min(1024)
      .default(256 * 1024),
    segmentBytes: z
      .int()
      .min(64 * 1024)
      .default(8 * 1024 * 1024),
    /** Accepted rows also kept in memory, so that the writer need not read them back. */
    memoryBytes: z
      .int()
      .min(64 * 1024)
      .default(64 * 1024 * 1024),
  }),

  redis: section({
    enabled: z.boolean().default(true),
    /** Also REDIS_URL or REDIS_URL_FILE. */
    url: url('redis:', 'rediss:').optional(),
    keyPrefix: z.string().default(''),
    /** Keys expire when their stream has been silent for this long; 0: never. */
    expireAfterMs: z.int().min(0).default(0),
    /** PUBLISH each update on the channel named like the key. */
    publish: z.boolean().default(false),
  }),

  http: section({
    enabled: z.boolean().default(true),
    host: z.string().min(1).default('127.0.0.1'),
    port: z.int().min(0).max(65_535).default(9464),
  }),

  log: section({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
  }),

  /** SIGTERM to exit, whatever is still under way. */
  shutdownTimeoutMs: ms(8_000),
});

export type Config = z.infer<typeof configSchema>;
