import { afterEach, describe, expect, test, vi } from 'vitest';
import { createLogger, createRateLimitedLogger, scrub } from '../../src/log.ts';

function logger(level: 'info' | 'debug' = 'info') {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { log: createLogger({ level, destination: { write } }), lines };
}

describe('a line', () => {
  test('is JSON with a level by name and an ISO time, and no more than was said', () => {
    const { log, lines } = logger();
    log.info({ keys: 3 }, 'redis connected');
    log.debug({}, 'not this one');
    expect(lines).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        keys: 3,
        msg: 'redis connected',
      },
    ]);
  });

  test('cannot be forged by a line break', () => {
    const { log, lines } = logger();
    log.warn({ symbol: 'A\n{"level":"fatal"}' }, 'unknown symbol');
    expect(lines).toHaveLength(1);
  });
});

describe('an error', () => {
  const SECRET = 'canary';

  test('of ioredis keeps its message, not the arguments of AUTH', () => {
    const { log, lines } = logger();
    const error = Object.assign(new Error('WRONGPASS invalid username-password pair'), {
      name: 'ReplyError',
      command: { name: 'auth', args: [SECRET] },
    });
    log.warn({ err: error }, 'redis connection failed');
    expect(lines[0]?.['err']).toEqual({
      name: 'ReplyError',
      message: 'WRONGPASS invalid username-password pair',
    });
  });

  test('of pg keeps what names the problem, not the row nor the client', () => {
    const { log, lines } = logger();
    const error = Object.assign(new Error('duplicate key value'), {
      code: '23505',
      severity: 'ERROR',
      table: 'trades',
      constraint: 'trades_pkey',
      detail: `Key (id)=(${SECRET}) already exists.`,
      where: `COPY trades, line 1: "${SECRET}"`,
      client: { password: SECRET },
    });
    log.error({ err: error }, 'copy failed');
    expect(lines[0]?.['err']).toEqual({
      name: 'Error',
      message: 'duplicate key value',
      code: '23505',
      severity: 'ERROR',
      table: 'trades',
      constraint: 'trades_pkey',
    });
  });

  test('is as safe under any name, as a cause, in an aggregate, without a message', () => {
    const { log, lines } = logger();
    const leak = Object.assign(new Error(`cannot reach postgres://u:${SECRET}@db/x`), {
      config: { password: SECRET },
      code: 'ECONNREFUSED',
    });
    log.error({ reason: leak }, 'a');
    log.error({ err: new Error('outer', { cause: leak }) }, 'b');
    log.error({ err: new AggregateError([leak, leak], '') }, 'c');
    log.error(leak, 'd');
    log.error(leak);
    log.error({ err: leak });
    log.error({ err: new Error('x', { cause: `https://${SECRET}@host/` }) }, 'e');
    expect(JSON.stringify(lines)).not.toContain(SECRET);
    expect(JSON.stringify(lines).match(/ECONNREFUSED/g)).toHaveLength(7);
    expect(lines.map(({ msg }) => msg)).toEqual([
      'a',
      'b',
      'c',
      'd',
      'cannot reach postgres://***@db/x',
      'cannot reach postgres://***@db/x',
      'e',
    ]);
  });

  test('that is a mistake in the code says where', () => {
    const { log, lines } = logger();
    log.error({ err: new TypeError('x is not a function') }, 'bug');
    expect(lines[0]?.['err']).toMatchObject({
      stack: expect.arrayContaining([expect.stringContaining('log.test.ts')]),
    });
  });

  test('that circles ends', () => {
    const { log, lines } = logger();
    const error = new Error('round');
    error.cause = error;
    log.error({ err: error }, 'circle');
    expect(lines).toHaveLength(1);
  });
});

test.each([
  ['redis://:p%40ss@host:6379/1 is down', 'redis://***@host:6379/1 is down'],
  ['postgres://u:p@ss@db/x', 'postgres://***@db/x'],
  ['GET https://api.x.com/v1?key=1&sig=2: 401', 'GET https://api.x.com/v1?*** 401'],
  ['wss://stream.binance.com:9443/ws', 'wss://stream.binance.com:9443/ws'],
  ['mail me@example.com', 'mail me@example.com'],
])('scrub %s', (text, scrubbed) => {
  expect(scrub(text)).toBe(scrubbed);
});

describe('repeated messages', () => {
  afterEach(() => void vi.useRealTimers());

  test('are logged once in 10 s, then with how many were left out', () => {
    vi.useFakeTimers();
    const { log, lines } = logger();
    const limited = createRateLimitedLogger(log);
    for (let n = 1; n <= 5; n++) limited.warn({ n }, 'socket closed');
    limited.warn({}, 'another message');
    vi.advanceTimersByTime(10_000);
    limited.warn({ n: 6 }, 'socket closed');
    vi.advanceTimersByTime(10_000);
    limited.error({ n: 7 }, 'socket closed');
    expect(lines.map(({ msg, n, suppressed, level }) => [level, msg, n, suppressed])).toEqual([
      ['warn', 'socket closed', 1, undefined],
      ['warn', 'another message', undefined, undefined],
      ['warn', 'socket closed', 6, 4],
      ['error', 'socket closed', 7, undefined],
    ]);
  });
});
