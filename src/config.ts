/**
 * The configuration: one zod schema with every key, its default and what it is for.
 * config/default.yaml and docs/configuration.md are generated from it; tests keep them equal.
 */
import { z } from 'zod';
import { urlsByHost } from './postgres-hosts.ts';
import { redisUrlProblem } from './redis-url.ts';

/** setTimeout fires at once for anything longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const ms = (value: number) => z.int().min(1).max(MAX_TIMER_MS).default(value);
const bytes = (minimum: number, value: number) => z.int().min(minimum).default(value);
const url = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    error: `must be a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`,
  });
/** One host or several: postgres://one,two/name. */
const databaseUrl = () =>
  z.string().refine((text) => urlsByHost(text).every(isPostgresUrl), {
    error: 'must be a URL that starts with postgres:// or postgresql://',
  });
const isPostgresUrl = (text: string) =>
  URL.canParse(text) && ['postgres:', 'postgresql:'].includes(new URL(text).protocol);
const distinct = (list: readonly string[]) => new Set(list).size === list.length;
/** A section whose keys all have defaults may be left out. */
const section = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never);

/** As PostgreSQL reads it, or `forever`. */
const span = (value: string) =>
  z
    .string()
    .regex(/^([1-9]\d{0,3} (day|week|month|year)s?|forever)$/, 'must look like 30 days, or forever')
    .default(value);
/** What the law wants kept is kept that long at least. */
const compliance = () =>
  span('7 years').refine(
    (text) => text === 'forever' || (/ years?$/.test(text) && parseInt(text, 10) >= 7),
    'must be 7 years or more, or forever: a compliance requirement',
  );

const allowInsecure = (what: string) =>
  z
    .boolean()
    .default(false)
    .describe(
      `Go without verified TLS to ${what} on another machine, with a warning at each start. ALLOW_INSECURE=1 sets it for all.`,
    );

const file = (description: string) => z.string().min(1).optional().describe(description);

/** Marks a value that may carry credentials: it is masked wherever the configuration is shown. */
const secret = (description: string) => ({ description, secret: true });

const KIB = 1024;
const MIB = 1024 * KIB;

export const configSchema = z.strictObject({
  exchange: z
    .string()
    .regex(/^[a-z0-9:_-]+$/, 'must be an exchange id in lower case, such as binance')
    .default('binance')
    .describe('Exchange id of the registry; one daemon streams one exchange.'),
  symbols: z
    .array(z.string().regex(/^[^\s/]+\/[^\s/:]+(:[^\s]+)?$/, 'must look like BTC/USDT'))
    .min(1)
    .refine(distinct, 'must not name a symbol twice')
    .default(['BTC/USDT', 'ETH/USDT'])
    .describe('Unified symbols: BTC/USDT, or BTC/USDT:USDT for a swap.'),
  channels: z
    .array(z.enum(['trades', 'candles', 'order_book']))
    .min(1)
    .refine(distinct, 'must not name a channel twice')
    .default(['trades', 'candles', 'order_book'])
    .describe('What is streamed of each symbol.'),

  connection: section({
    wsUrl: url('ws:', 'wss:')
      .optional()
      .meta(
        secret('Base URL instead of the exchange’s own: simulator, proxy, another of its hosts.'),
      ),
    restUrl: url('http:', 'https:').optional().meta(secret('The same for REST.')),
    allowInsecure: allowInsecure('an exchange'),
    openTimeoutMs: ms(10_000).describe('A socket must be open within this time.'),
    ackTimeoutMs: ms(10_000).describe(
      'Every subscription must be acknowledged within this time of being sent.',
    ),
    silenceTimeoutMs: ms(60_000).describe(
      'Nothing at all on a socket, not even a ping, for this long: it is replaced.',
    ),
    staleAfterMs: section({
      trades: ms(10_000),
      candles: ms(120_000),
      order_book: ms(10_000),
    }).describe(
      'A stream that is silent for longer (and than three times its usual pause) is stale.',
    ),
    maxAgeMs: ms(23 * 3_600_000).describe(
      'A socket is replaced at this age, less a random tenth, before the exchange cuts it.',
    ),
    reconnect: section({
      minDelayMs: ms(250).describe('Before the second attempt; doubles with each further one.'),
      maxDelayMs: ms(30_000).describe('The longest pause between two attempts.'),
      healthyAfterMs: ms(10_000).describe(
        'The delay starts anew only after a connection was well for this long.',
      ),
    }),
  }).describe('Sockets to the exchange.'),

  backfill: section({
    maxAgeHours: z
      .int()
      .min(1)
      .max(8760)
      .default(168)
      .describe('Trades that are missing are fetched if they are not older than this.'),
    patienceMs: ms(30_000).describe(
      'A trade that the exchange does not show within this time counts as lost.',
    ),
  }).describe('Gaps in trades, where the exchange shows them by their ids.'),

  candles: section({
    graceMs: ms(2_000).describe(
      'A minute is closed this long after its end; trades that are later change it by way of REST.',
    ),
  }).describe('Candles of exchanges that do not say which are closed, or send none.'),

  orderBook: section({
    depth: z
      .int()
      .min(1)
      .max(1000)
      .default(20)
      .describe('Levels a side, in Redis and in the table.'),
    snapshotIntervalMs: z
      .int()
      .min(100)
      .max(86_400_000)
      .default(1000)
      .describe(
        'A row in order_book at most this often per symbol, on grid points of the wall clock.',
      ),
  }),

  database: section({
    url: databaseUrl()
      .optional()
      .meta(
        secret(
          'Where PostgreSQL is; with several hosts (postgres://one,two/name) that which takes writes. Also DATABASE_URL or DATABASE_URL_FILE.',
        ),
      ),
    ownerUrl: databaseUrl()
      .optional()
      .meta(
        secret(
          'The same database for migrations and retention, as a member of hyperfeed_owner; url then need be no more than hyperfeed_writer. Also DATABASE_OWNER_URL or DATABASE_OWNER_URL_FILE.',
        ),
      ),
    allowInsecure: allowInsecure('PostgreSQL'),
    connectTimeoutMs: ms(5_000).describe('A session must be open within this time.'),
    copyTimeoutMs: ms(30_000).describe(
      'A COPY that takes longer counts as dead, and its socket is destroyed.',
    ),
    statementTimeoutMs: ms(10_000).describe('The same for any other statement.'),
    migrate: z
      .boolean()
      .default(true)
      .describe('Bring the schema up to date at start-up; false only verifies it.'),
    lanes: z
      .int()
      .min(1)
      .max(16)
      .default(1)
      .describe(
        'Sessions that store at the same time, each for some of the symbols: for more rows than one session takes.',
      ),
    batch: section({
      maxRows: z
        .int()
        .min(1)
        .max(1_000_000)
        .default(5_000)
        .describe('Rows of one transaction, at most.'),
      maxBytes: bytes(KIB, MIB).describe('Bytes of one transaction, at most.'),
      maxDelayMs: z
        .int()
        .min(0)
        .max(60_000)
        .default(20)
        .describe(
          'An accepted row waits at most this long for others to share its transaction, or until the one before is over.',
        ),
    }),
    quarantine: section({
      maxRows: z
        .int()
        .min(0)
        .default(1_000)
        .describe('Rows that the database refuses for one reason, in five minutes, at most;'),
      maxPercent: z
        .number()
        .min(0)
        .max(100)
        .default(1)
        .describe('and of all rows in that time. Beyond, it halts: it is not the rows.'),
    }).describe('Rows that the database refuses are kept in ingest_quarantine.'),
  }),

  standby: section({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        'Of several daemons of an exchange with the same database one stores and writes to Redis; false: each does.',
      ),
    keepMs: ms(60_000).describe('The others have the rows of this time ready, to take over.'),
    maxBytes: bytes(64 * KIB, 64 * MIB).describe('Bytes of them, at most.'),
  }).describe('Two daemons for one exchange.'),

  retention: section({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        'Remove daily what is older than the times below, and on plain PostgreSQL make partitions for the week ahead; false: this daemon does neither.',
      ),
    marketData: span('2 years').describe('Candles of one minute.'),
    longCandles: span('5 years').describe('Candles of 5 minutes and more.'),
    orderBook: span('30 days'),
    trades: span('1 year'),
    executedOrders: compliance(),
    positions: compliance().describe('After closed_at; open ones stay.'),
    performanceMetrics: span('5 years'),
    systemLogs: span('1 year'),
    userSessions: span('30 days').describe('After expires_at.'),
    riskEvents: compliance(),
  }).describe('How long rows are kept, such as 30 days, 2 years or forever.'),

  storage: section({
    compressAfter: span('forever').describe(
      'Compress chunks of this age. TimescaleDB Community only; forever: never.',
    ),
  }),

  spool: section({
    directory: z
      .string()
      .min(1)
      .default('./spool')
      .describe('Where accepted rows wait on disk. One folder per exchange is made in it.'),
    fsync: z
      .enum(['group', 'os', 'always'])
      .default('group')
      .describe(
        'group: fdatasync every groupMs; os: never (survives kill -9, not a power cut); always: each write.',
      ),
    groupMs: z
      .int()
      .min(1)
      .max(1000)
      .default(20)
      .describe('With fsync: group, one fdatasync serves the rows of this much time.'),
    groupBytes: z
      .int()
      .min(KIB)
      // A frame of the spool holds a megabyte, and a group is one frame a table.
      .max(256 * KIB)
      .default(256 * KIB)
      .describe('It comes sooner once this many bytes wait.'),
    segmentBytes: bytes(64 * KIB, 8 * MIB).describe('A file of the spool ends at this size.'),
    memoryBytes: bytes(64 * KIB, 64 * MIB).describe(
      'Accepted rows also kept in memory, so that the writer need not read them back.',
    ),
    unwrittenBytes: bytes(64 * KIB, 64 * MIB).describe(
      'Rows that the disk did not take yet, at most; beyond, rows are dropped, counted and logged.',
    ),
    maxBytes: z
      .int()
      .min(MIB)
      .optional()
      .describe(
        'Disk that the spool may take, at most 80 % of its volume. At 80 % of it order books become fewer, at 90 % none is kept, at 100 % rows wait in memory. Default: 4 GiB, or what the volume allows.',
      ),
    retainSeconds: z
      .int()
      .min(0)
      .max(86_400)
      .default(60)
      .describe(
        'Stored rows stay on disk for this long, should the server forget what it committed: a standby that is promoted, a backup. Less when the disk is short.',
      ),
  }).describe('The disk between the exchange and PostgreSQL.'),

  redis: section({
    enabled: z.boolean().default(true).describe('Write the latest prices and order books.'),
    url: z
      .string()
      .superRefine((text, { addIssue }) => {
        const message = redisUrlProblem(text);
        if (message !== undefined) addIssue({ code: 'custom', message });
      })
      .optional()
      .meta(
        secret(
          'Where Redis is: redis://host:6379/3, redis+sentinel://host,host2/primary/3 or redis+cluster://host,host2; rediss is TLS, verified. Also REDIS_URL or REDIS_URL_FILE.',
        ),
      ),
    sentinelPassword: z
      .string()
      .optional()
      .meta(secret('Of the Sentinels themselves, where they ask for one.')),
    caFile: file('With rediss: PEM of the authorities to trust instead of those that Node trusts.'),
    certFile: file('With rediss: PEM of our own certificate, for a server that asks for one.'),
    keyFile: file('And its key.'),
    allowInsecure: allowInsecure('Redis'),
    keyPrefix: z.string().default('').describe('Goes before every key, such as staging:'),
    expireAfterMs: z
      .int()
      .min(0)
      .max(MAX_TIMER_MS)
      .default(0)
      .describe('Keys expire when their stream has been silent for this long; 0: never.'),
    publish: z
      .boolean()
      .default(false)
      .describe('PUBLISH each update as JSON on the channel named like the key.'),
  }),

  mirror: section({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        'Copy the tables strategies, risk_limits and user_sessions to Redis; one daemon does it for all. What Redis holds of these kinds without a row is removed.',
      ),
  }).describe('PostgreSQL to Redis, when Redis is enabled.'),

  http: section({
    enabled: z.boolean().default(true),
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('0.0.0.0 lets other machines in: see http.token.'),
    port: z.int().min(0).max(65_535).default(9464).describe('0 picks a free one.'),
    statusPage: z
      .boolean()
      .default(false)
      .describe('A page for people at /; `up` shows it unless this is false.'),
    token: z
      .string()
      .regex(/^[\w.~+/-]{16,}=*$/, 'must be 16 or more letters and digits')
      .optional()
      .meta(
        secret(
          'Who asks for anything but /livez and /readyz must send it: Authorization: Bearer TOKEN. Also HTTP_TOKEN or HTTP_TOKEN_FILE.',
        ),
      ),
  }).describe('Health, metrics and status.'),

  log: section({
    level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal']).default('info'),
    toDatabase: z
      .boolean()
      .default(true)
      .describe('Warnings and errors also go to the table system_logs.'),
  }),

  shutdownTimeoutMs: ms(8_000).describe('SIGTERM to exit, whatever is still under way.'),
});

export type Config = z.infer<typeof configSchema>;

/** What a file, the environment or the command line may say: any part of it. */
export type ConfigInput = z.input<typeof configSchema>;

/** A node of the schema as JSON Schema describes it, as far as it is used here. */
interface SchemaNode {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly secret?: boolean;
}

/** One key, or one section, of the configuration. */
export interface Setting extends SchemaNode {
  readonly path: readonly string[];
  /** `orderBook.depth` */
  readonly key: string;
}

/** Every section and key in the order of the schema, sections before what is in them. */
export const settings: readonly Setting[] = flatten(
  z.toJSONSchema(configSchema, { io: 'input' }) as SchemaNode,
  [],
);

function flatten(node: SchemaNode, parents: readonly string[]): Setting[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const path = [...parents, name];
    return [{ ...child, path, key: path.join('.') }, ...flatten(child, path)];
  });
}
