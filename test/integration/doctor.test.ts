/** `hyperfeed doctor` on real servers: all well, absent, frozen; the exchange; the spool. */
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { environmentOf, runHyperfeed, spawnDaemon, temporaryFolder } from '../support/daemon.ts';
import { examine, login, said, surroundings } from '../support/doctor.ts';
import { freePort } from '../support/stack.ts';

test('all is well: exit 0, as text and as JSON; no secret', async () => {
  const { database, settings } = await surroundings();
  const url = await login(database, 'hyperfeed_writer');
  const good = { ...settings, 'database.url': url, 'database.ownerUrl': database.url };
  const { code, checks, one, of } = await examine(good);
  expect([code, checks.filter(({ level }) => level === 'problem')]).toEqual([0, []]);
  expect(one('configuration')).toEqual(said('ok', /^binance: .* of BTC\/USDT, ETH\/USDT/));
  expect(one('node')).toEqual(said('ok', /^v24\./));
  expect(one('open files')?.level).toBe('ok');
  expect(of('spool')).toContainEqual(said('ok', /GiB free, fdatasync takes [\d.]+ ms/));
  expect(one('database')?.what).toMatch(/^PostgreSQL 17\S* at postgres\S+, answers in [\d.]+ ms/);
  expect(one('timescaledb')).toEqual(said('ok', /Apache edition: hypertables/));
  expect(one('schema')).toEqual(said('ok', /^up to date, \d+ migrations$/));
  expect(one('role')).toEqual(said('ok', /may do what the daemon needs$/));
  expect(one('owner')).toEqual(said('ok', /may migrate/));
  expect(one('clock')).toEqual(said('ok', /^that of PostgreSQL is .* ms/));
  expect(one('redis')).toEqual(said('ok', /^(Valkey|Redis) \d\S* at redis:\S+, answers in/));
  expect(one('exchange REST')).toEqual(said('ok', /^binance lists 2 markets/));
  expect(one('symbols')).toEqual(said('ok', /^BTC\/USDT, ETH\/USDT: listed, and traded$/));
  expect(one('exchange WebSocket')).toEqual(said('ok', /opens in \d+ ms/));
  expect(one('exchange clock')).toEqual(said('ok', /^that of binance/));
  expect(checks.map(({ what }) => what).join()).not.toContain(new URL(url).password);

  const text = await runHyperfeed(['doctor'], { env: environmentOf(good) });
  expect(text.code).toBe(0);
  expect(text.stdout[0]).toMatch(/^ok +configuration +binance: /);
  expect(text.stdout.at(-1)).toMatch(/^(all is well|0 problems, \d+ warnings?)$/);
});

test('a configuration that is not valid: what is wrong with it; exit 1', async () => {
  const { code, checks } = await examine({ 'http.port': 70_000, symbols: ['nonsense'] });
  expect(code).toBe(1);
  expect(checks).toEqual([
    said('problem', /^2 problems\n.*symbols\.0 must look like[^]*http\.port must be at most 65535/),
  ]);
});

test('no server at all: every check is made, and says what to do', async () => {
  const port = await freePort();
  const settings = {
    'database.url': `postgres://me:canary@127.0.0.1:${port}/x`,
    'redis.url': `redis://:canary@127.0.0.1:${port}`,
    'connection.wsUrl': `ws://127.0.0.1:${port}`,
    'connection.restUrl': `http://127.0.0.1:${port}`,
    'spool.directory': await temporaryFolder(),
  };
  const { code, checks, one, of } = await examine(settings);
  expect(code).toBe(1);
  for (const name of ['database', 'redis', 'exchange REST', 'exchange WebSocket']) {
    expect(of(name)).toEqual([said('problem', /ECONNREFUSED/)]);
  }
  for (const name of ['timescaledb', 'schema', 'role', 'clock']) {
    expect(one(name)).toEqual(said('skipped', /^needs database$/));
  }
  expect(one('symbols')).toEqual(said('skipped', /^needs exchange REST$/));
  expect(JSON.stringify(checks)).not.toContain('canary');
});

test('servers that accept and say nothing: each check ends by itself', async () => {
  const frozen = createServer(() => undefined).listen(0, '127.0.0.1');
  await once(frozen, 'listening');
  onTestFinished(() => void frozen.close());
  const at = `127.0.0.1:${(frozen.address() as AddressInfo).port}`;
  const { simulation } = await surroundings();
  const { code, one } = await examine({
    ...simulation.settings,
    'database.url': `postgres://me@${at}/x`,
    'database.connectTimeoutMs': 300,
    'redis.url': `redis://${at}`,
    'connection.wsUrl': `ws://${at}`,
    'connection.openTimeoutMs': 300,
    'spool.directory': await temporaryFolder(),
  });
  expect(code).toBe(1);
  expect(one('database')).toEqual(said('problem', /timeout/i));
  expect(one('redis')?.level).toBe('problem');
  expect(one('exchange WebSocket')).toEqual(said('problem', /timed out/));
  expect(one('exchange REST')?.level).toBe('ok');
});

describe('the exchange', () => {
  test('a symbol that is halted, and one that is not listed: the nearest', async () => {
    const { simulation, settings } = await surroundings();
    simulation.setStatus('ETH/USDT', 'BREAK');
    const halted = await examine(settings);
    expect([halted.code, halted.of('symbols')]).toEqual([
      1,
      [said('problem', /^ETH\/USDT is halted$/)],
    ]);
    const unknown = await examine({ ...settings, symbols: ['BTC/USDX'] });
    expect(unknown.of('symbols')).toEqual([said('problem', /BTC\/USDX \(nearest: BTC\/USDT/)]);
  });

  test('its clock, by the Date of its answers', async () => {
    const { simulation, settings } = await surroundings();
    const late = createHttpServer(({ url, method = 'GET' }, response) => {
      response.setHeader('Date', new Date(Date.now() - 5_000).toUTCString());
      void fetch(`${simulation.settings['connection.restUrl']}${url}`, { method })
        .then((answer) => answer.text())
        .then((body) => response.end(body));
    }).listen(0, '127.0.0.1');
    await once(late, 'listening');
    onTestFinished(() => void late.close());
    const { port } = late.address() as AddressInfo;
    const { one } = await examine({
      ...settings,
      'connection.restUrl': `http://127.0.0.1:${port}`,
    });
    expect(one('exchange clock')).toEqual(
      said('problem', /^the clock of binance is [4-6]\.\d s or more behind ours$/),
    );
  });
});

describe('the spool', () => {
  test('a folder that cannot be written', async () => {
    const { settings } = await surroundings();
    const file = join(await temporaryFolder(), 'file');
    await writeFile(file, '');
    const { code, one } = await examine({ ...settings, 'spool.directory': join(file, 'spool') });
    expect([code, one('spool')]).toEqual([1, said('problem', /ENOTDIR/)]);
  });

  test('less disk than spool.maxBytes promises', async () => {
    const { settings } = await surroundings();
    const { of } = await examine({ ...settings, 'spool.maxBytes': 2 ** 50 });
    expect(of('spool')).toContainEqual(said('warning', /less than spool\.maxBytes, 1024\.0 TiB$/));
  });

  test('in use by a daemon; rows that nobody stores; damaged segments', async () => {
    const { settings } = await surroundings();
    const folder = join(settings['spool.directory'], 'binance');
    await mkdir(join(folder, 'corrupt'), { recursive: true });
    await writeFile(join(folder, `${'0'.repeat(16)}-${'a'.repeat(16)}.seg`), 'x'.repeat(2048));
    await writeFile(join(folder, 'corrupt', 'some.seg'), '');
    const left = await examine(settings);
    expect(left.of('spool')).toContainEqual(said('ok', /^2\.0 KiB in 1 segments: the next start/));
    expect(left.of('spool')).toContainEqual(said('warning', /^1 damaged segments in .*corrupt$/));

    const daemon = await spawnDaemon(settings);
    await daemon.says('running');
    const used = await examine(settings);
    const inUse = new RegExp(`^in use by process ${daemon.pid}`);
    expect(used.of('spool')).toContainEqual(said('ok', inUse));
  });
});
