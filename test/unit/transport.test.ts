import { describe, expect, test } from 'vitest';
import { configSchema } from '../../src/config.ts';
import { exposedLinks, warnOfExposed } from '../../src/exposed-links.ts';
import { createLogger } from '../../src/log.ts';
import { checkExchangeUrls, isLocal, withoutKeys, withPath } from '../../src/transport.ts';

test.each(['localhost', 'LOCALHOST', '127.0.0.1', '127.9.9.9', '::1', '[::1]', '', '/run/pg'])(
  '%s stays on this machine',
  (host) => {
    expect(isLocal(host)).toBe(true);
  },
);

test.each([
  '10.0.0.1',
  'database',
  'localhost.example.org',
  '127.0.0.1.example.org',
  '128.0.0.1',
  '0.0.0.0',
  '::',
  '2001:db8::1',
  'run/pg',
])('%s does not', (host) => {
  expect(isLocal(host)).toBe(false);
});

describe('an exchange', () => {
  const check = (wsUrl: string, restUrl: string, allowInsecure = false) =>
    checkExchangeUrls({ wsUrl, restUrl, allowInsecure });

  test('wss and https anywhere, ws and http on this machine', () => {
    expect(() => check('wss://stream.example.org/ws', 'https://api.example.org')).not.toThrow();
    expect(() => check('ws://127.0.0.1:9600', 'http://localhost:9600/api')).not.toThrow();
  });

  test('else refused, with the key and no part of the address', () => {
    expect(() => check('ws://proxy.example.org?key=canary', 'https://a')).toThrow(
      /^connection.wsUrl: plaintext to another machine. Use wss:\/\/, or set connection.allowInsecure: true \(ALLOW_INSECURE=1\)/,
    );
    expect(() => check('wss://a', 'http://canary:canary@proxy.example.org')).toThrow(
      /^connection.restUrl: (?!.*canary)/,
    );
    check('ws://simulator:9600', 'http://simulator:9600', true);
  });
});

describe('a warning at each start', () => {
  const links = (settings: object) => exposedLinks(configSchema.parse(settings));
  const url = 'postgres://u:p@database/x';

  test('none where nothing leaves the machine unprotected', () => {
    expect(
      links({
        database: { url: 'postgres://u:p@localhost/x', allowInsecure: true },
        redis: { url: 'rediss://cache.example.org', allowInsecure: true },
        connection: { wsUrl: 'ws://127.0.0.1:1', allowInsecure: true },
      }),
    ).toEqual([]);
  });

  test('for each that does, by its key', () => {
    expect(
      links({
        database: { url, ownerUrl: `${url}?sslmode=require`, allowInsecure: true },
        redis: { url: 'redis+cluster://a,b', allowInsecure: true },
        connection: { wsUrl: 'ws://a', restUrl: 'http://a', allowInsecure: true },
      }),
    ).toEqual([
      { setting: 'database.url', how: 'plaintext' },
      { setting: 'database.ownerUrl', how: 'unverified' },
      { setting: 'redis.url', how: 'plaintext' },
      { setting: 'connection.wsUrl', how: 'plaintext' },
      { setting: 'connection.restUrl', how: 'plaintext' },
    ]);
  });

  test('one host of several is enough', () => {
    expect(() => links({ redis: { url: 'redis+sentinel://127.0.0.1,b/prices' } })).toThrow(
      /^redis.url: plaintext to another machine/,
    );
    // It is not used.
    expect(links({ redis: { enabled: false, url: 'redis://a' } })).toEqual([]);
  });
});

describe('a base URL with a key', () => {
  test.each([
    ['wss://a', '/ws', 'wss://a/ws'],
    ['wss://a/', '/ws', 'wss://a/ws'],
    ['wss://a/b?key=x', '/ws', 'wss://a/b/ws?key=x'],
    ['wss://a?key=x', '/ws?streams=y', 'wss://a/ws?streams=y&key=x'],
    ['wss://a', '', 'wss://a'],
  ])('%s and %s', (base, path, url) => {
    expect(withPath(base, path)).toBe(url);
  });

  test('is not kept', () => {
    const keep = (url: string, base: string) => withoutKeys(url, base);
    expect(keep('wss://u:p@a/ws?limit=1&key=x', 'wss://u:p@a?key=x')).toBe('wss://a/ws?limit=1');
    expect(keep('wss://a/ws?limit=1', 'wss://a')).toBe('wss://a/ws?limit=1');
  });
});

test('the warning names the setting, and nothing of the address', () => {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    destination: { write: (line) => lines.push(line) },
  });
  warnOfExposed(
    configSchema.parse({
      database: { url: 'postgres://canary:canary@canary.example.org/x', allowInsecure: true },
    }),
    logger,
  );
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('"level":"warn"');
  expect(lines[0]).toContain('"setting":"database.url","how":"plaintext"');
  expect(lines[0]).not.toContain('canary');
});
