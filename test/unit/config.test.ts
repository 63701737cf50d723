import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { describeConfig, envName, loadConfig, maskConfig } from '../../src/config-load.ts';
import { configSchema, settings } from '../../src/config.ts';
import type { ConfigInput } from '../../src/config.ts';
import { UsageError } from '../../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'hyperfeed-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function file(text: string): string {
  const path = join(folder, `${files++}.yaml`);
  writeFileSync(path, text);
  return path;
}

function load(yaml: string | undefined, env: NodeJS.ProcessEnv = {}, flags: ConfigInput = {}) {
  return loadConfig({ file: yaml === undefined ? undefined : file(yaml), env, flags });
}

/** What is said of a configuration, without the folder of the file. */
function problems(...sources: Parameters<typeof load>): string {
  try {
    load(...sources);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return error.message.replaceAll(/\S*\/\d+\.yaml/g, 'x.yaml');
  }
  return 'nothing';
}

describe('where a value comes from', () => {
  test('flag > environment > file > default', () => {
    const yaml = 'http:\n  port: 1\n  host: file\norderBook: { depth: 1 }\n';
    const env = { HYPERFEED__HTTP__PORT: '2', HYPERFEED__HTTP__HOST: 'env' };
    const { config, origins } = load(yaml, env, { http: { port: 3 } });
    expect(config.http).toMatchObject({ enabled: true, host: 'env', port: 3 });
    expect(origins.get('http.port')).toBe('flag');
    expect(origins.get('http.host')).toBe('env HYPERFEED__HTTP__HOST');
    expect(origins.get('orderBook.depth')).toMatch(/\.yaml:4$/);
    expect(origins.get('http.enabled')).toBe('default');
  });

  test('nothing at all, an empty file, and one where all is commented out are the defaults', () => {
    const defaults = configSchema.parse({});
    for (const yaml of [undefined, '', '# only a comment\n', 'redis:\n  # url: x\nhttp:\n']) {
      expect(load(yaml).config).toEqual(defaults);
    }
  });

  test('every key can come from the environment, under one name', () => {
    const names = settings.map(({ path }) => envName(path));
    expect(new Set(names.map((name) => name.replaceAll('_', ''))).size).toBe(names.length);
    for (const name of [
      'HYPERFEED__ORDER_BOOK__SNAPSHOT_INTERVAL_MS',
      'HYPERFEED__ORDERBOOK__SNAPSHOTINTERVALMS',
      'hyperfeed__orderBook__snapshotIntervalMs',
    ]) {
      expect(load('', { [name]: '2000' }).config.orderBook.snapshotIntervalMs).toBe(2000);
    }
    expect(
      load('', {
        HYPERFEED__SYMBOLS: 'SOL/USDT, BTC/USDT',
        HYPERFEED__REDIS__PUBLISH: 'TRUE',
        HYPERFEED__CONNECTION__STALE_AFTER_MS__ORDER_BOOK: '5',
        HYPERFEED__LOG__LEVEL: '',
      }).config,
    ).toMatchObject({
      symbols: ['SOL/USDT', 'BTC/USDT'],
      redis: { publish: true },
      connection: { staleAfterMs: { order_book: 5, trades: 10_000 } },
      log: { level: 'info' },
    });
  });

  test('DATABASE_URL, REDIS_URL and their files', () => {
    const secret = file('redis://:secret@redis:6379\r\n');
    const env = { DATABASE_URL: 'postgres://u:p@db/market', REDIS_URL_FILE: secret };
    const { config, origins } = load('database: { url: "postgres://file/x" }', env);
    expect(config.database.url).toBe('postgres://u:p@db/market');
    expect(config.redis.url).toBe('redis://:secret@redis:6379');
    expect(origins.get('redis.url')).toBe('env REDIS_URL_FILE');
    const specific = { ...env, HYPERFEED__DATABASE__URL: 'postgres://specific/x' };
    expect(load('', specific).config.database.url).toBe('postgres://specific/x');
    expect(load('', { DATABASE_URL: '' }).config.database.url).toBeUndefined();
  });
});

describe('what is wrong', () => {
  test('all at once, each with its place and the nearest key', () => {
    const yaml = [
      'symbols: [BTC/USDT, btc]',
      'orderBok: {}',
      'redis:',
      '  expireAfterMs: -1',
      '  depth: 5',
      'connection:',
      '  reconnect: 5',
      'http:',
      '  prot: 1',
      '  enabled: yes',
    ].join('\n');
    const env = { HYPERFEED__HTP__PORT: '3', HYPERFEED__DATABASE__BATCH__MAX_ROWS: 'many' };
    expect(problems(yaml, env, { log: { level: 'loud' as never } })).toBe(
      `configuration: 10 problems
  env HYPERFEED__HTP__PORT: is not a key; did you mean HYPERFEED__HTTP__PORT?
  x.yaml:1:21: symbols.1 must look like BTC/USDT, not "btc"
  x.yaml:7:3: connection.reconnect must be a section with keys of its own, not 5
  env HYPERFEED__DATABASE__BATCH__MAX_ROWS: database.batch.maxRows must be a whole number, not "many"
  x.yaml:4:3: redis.expireAfterMs must be at least 0, not -1
  x.yaml:5:3: redis.depth is not a key; did you mean orderBook.depth?
  x.yaml:10:3: http.enabled must be true or false, not "yes"
  x.yaml:9:3: http.prot is not a key; did you mean port?
  flag: log.level must be one of trace, debug, info, warn, error, fatal, not "loud"
  x.yaml:2:1: orderBok is not a key; did you mean orderBook?`,
    );
  });

  test.each([
    ['a: 1\na: 2\n', 'x.yaml:2:1: Map keys must be unique'],
    ['http: {port: 1\n', 'x.yaml:2:1: '],
    ['- a\n', 'x.yaml:1:1: must be keys with values'],
    ['just text\n', 'x.yaml:1:1: must be keys with values'],
    ['symbols: []\n', 'x.yaml:1:1: symbols must not be empty'],
    ['symbols: [A/B, A/B]\n', 'symbols must not name a symbol twice'],
    ['shutdownTimeoutMs: 3000000000\n', 'must be at most 2147483647, not 3000000000'],
    ['http: {port: 1.5}\n', 'http.port must be a whole number, not 1.5'],
    ['http: 5\n', 'http must be a section with keys of its own, not 5'],
    ['__proto__: {a: 1}\n', '__proto__'],
  ])('%j', (yaml, message) => {
    expect(problems(yaml)).toContain(message);
  });

  test('files that cannot be read', () => {
    const missing = join(folder, 'none.yaml');
    expect(() => loadConfig({ file: missing, env: {}, flags: {} })).toThrow(
      `${missing}: no such file`,
    );
    expect(() => loadConfig({ file: folder, env: {}, flags: {} })).toThrow('cannot be read');
    expect(problems('', { REDIS_URL_FILE: '/none' })).toContain(
      'env REDIS_URL_FILE: /none: no such file',
    );
    expect(problems('', { REDIS_URL: 'redis://a', REDIS_URL_FILE: '/none' })).toContain('both set');
  });

  test('a section that is no section does not hide behind the environment', () => {
    expect(problems('http: 5\n', { HYPERFEED__HTTP__PORT: '1' })).toContain(
      'http must be a section',
    );
  });
});

describe('secrets', () => {
  const env = { DATABASE_URL: 'postgres://user:canary@db:5432/market?password=canary' };

  test('are masked wherever the configuration is shown', () => {
    const loaded = load('redis: { url: "redis://:canary@host/1" }', env, {
      connection: { wsUrl: 'wss://proxy/stream?key=canary' },
    });
    const shown = describeConfig(loaded).join('\n');
    expect(shown).not.toContain('canary');
    expect(shown).toContain(
      'database.url = postgres://***@db:5432/market?***  (from env DATABASE_URL)',
    );
    expect(shown).toContain('orderBook.depth = 20  (default)');
    expect(shown).toContain('redis.keyPrefix = ""  (default)');
    expect(shown).toContain('connection.restUrl = (not set)  (default)');
    expect(JSON.stringify(maskConfig(loaded.config))).not.toContain('canary');
    expect(loaded.config.redis.url).toBe('redis://:canary@host/1');
  });

  test('are not said when they are wrong', () => {
    for (const said of [
      problems('', { DATABASE_URL: 'mysql://u:canary@db' }),
      problems('', { HYPERFEED__REDIS__URL: 'canary' }),
      problems('', { REDIS_URL: 'redis://:canary@h?enableOfflineQueue=true' }),
      problems('redis: { url: redis://:canary@h ] }\n'),
      problems('redis:\n  url: "redis://:canary@h\n'),
      problems('redis:\n\turl: redis://:canary@h\n'),
    ]) {
      expect(said).toContain('configuration:');
      expect(said).not.toContain('canary');
    }
  });
});
