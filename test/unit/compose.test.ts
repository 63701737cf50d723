/** docker-compose.yml, Dockerfile and .env.example against this repository: no Docker needed. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config-load.ts';
import { configSchema } from '../../src/config.ts';
import { exchangeIds, loadAdapter } from '../../src/ingest/registry.ts';
import {
  ROOT,
  read,
  source,
  compose,
  services,
  service,
  daemons,
  interpolate,
  dockerfile,
  last,
  imageEnvironment,
  type Service,
} from '../support/compose.ts';

/** Its file, and its environment as Compose makes it. */
function startOf({ command = [], environment = {} }: Service) {
  const [, flag, file = ''] = command;
  expect(flag).toBe('--config');
  const given = Object.fromEntries(
    Object.entries(environment).map(([key, value]) => [key, interpolate(value)]),
  );
  return { file: join(ROOT, file), env: { ...imageEnvironment, ...given } };
}

/** Throws for unknown keys and impossible values. */
const configOf = (daemon: Service) => loadConfig({ ...startOf(daemon), flags: {} }).config;

describe('docker-compose.yml', () => {
  test('one service for each exchange, and one that is simulated', () => {
    const streamed = daemons
      .map(([name]) => name)
      .filter((name) => !/-(simulated|standby)$/.test(name));
    expect(streamed.toSorted()).toEqual(exchangeIds.toSorted());
    const plain = services.filter(([, { profiles }]) => !profiles).map(([name]) => name);
    expect(plain.toSorted()).toEqual(['binance', 'database', 'migrate', 'redis']);
    const special: Record<string, string[] | undefined> = {
      binance: undefined,
      'binance-simulated': ['demo'],
      'binance-standby': ['standby'],
    };
    for (const [name, { profiles }] of daemons) {
      expect(profiles).toEqual(name in special ? special[name] : [name, 'exchanges']);
    }
  });

  test('a standby is the same daemon, but for its spool and its port', () => {
    const standbys = daemons.filter(([name]) => name.endsWith('-standby'));
    expect(standbys.length).toBeGreaterThan(0);
    for (const [name, standby] of standbys) {
      const active = service(name.replace('-standby', ''));
      const { profiles, volumes = [], ports, ...same } = standby;
      const { profiles: _, volumes: theirs = [], ports: others, ...expected } = active;
      expect(same).toEqual(expected);
      expect([profiles, ports]).not.toEqual([undefined, others]);
      const [own, ...rest] = volumes;
      expect(own).toBe(`spool-${name}:/var/lib/hyperfeed`);
      expect(theirs).not.toContain(own);
      expect(rest).toEqual(theirs.slice(1));
      // Who takes turns is told by exchange, symbols and channels.
      expect(configOf(standby)).toEqual(configOf(active));
      expect(configOf(standby).standby.enabled).toBe(true);
    }
  });

  test.for(daemons)('%s starts with what it is given', async ([name, daemon]) => {
    const { file, env } = startOf(daemon);
    const config = configOf(daemon);
    expect((await loadAdapter(config.exchange)).id).toBe(name.replace(/-(simulated|standby)$/, ''));
    expect(config.http).toEqual({ ...config.http, enabled: true, host: '0.0.0.0', port: 9464 });
    expect(new URL(config.database.url ?? '').hostname).toBe('database');
    expect(new URL(config.redis.url ?? '').hostname).toBe('redis');
    expect(`${config.spool.directory}/`).toMatch(/^\/var\/lib\/hyperfeed\//);
    expect(daemon.volumes).toContain(`spool-${name}:/var/lib/hyperfeed`);
    // Every daemon has a port of its own on the host, and time to drain.
    expect(daemon.ports).toHaveLength(1);
    expect(daemon.ports?.[0]).toMatch(/:9464$/);
    const graceMs = Number(/^(\d+)s$/.exec(daemon.stop_grace_period ?? '')?.[1]) * 1000;
    expect(graceMs).toBeGreaterThan(config.shutdownTimeoutMs + 2000);
    // The variable by which .env names the symbols, and its form.
    if (name === 'binance-simulated') return;
    const variable = `${config.exchange.toUpperCase().replaceAll('-', '_')}_SYMBOLS`;
    const symbols = daemon.environment?.['HYPERFEED__SYMBOLS'] ?? '';
    expect(symbols).toBe(`\${${variable}:-}`);
    const other = { ...env, HYPERFEED__SYMBOLS: interpolate(symbols, { [variable]: 'A/B,C/D' }) };
    expect(loadConfig({ file, env: other, flags: {} }).config.symbols).toEqual(['A/B', 'C/D']);
  });

  test('the simulated exchange has a database and a Redis of its own', () => {
    const { environment = {} } = service('binance-simulated');
    const real = service('binance').environment ?? {};
    for (const key of ['DATABASE_URL', 'REDIS_URL'] as const) {
      const [own, others] = [environment[key], real[key]].map((text) => interpolate(text ?? ''));
      expect(new URL(own ?? '').host).toBe(new URL(others ?? '').host);
      expect(new URL(own ?? '').pathname).not.toBe(new URL(others ?? '').pathname);
    }
    const { command = [], entrypoint = [] } = service('simulator');
    expect(existsSync(join(ROOT, entrypoint[1]?.replace('/app/', '') ?? ''))).toBe(true);
    const port = command[command.indexOf('--port') + 1];
    expect(new URL(environment['HYPERFEED__CONNECTION__WS_URL'] ?? '').port).toBe(port);
    expect(new URL(environment['HYPERFEED__CONNECTION__REST_URL'] ?? '').port).toBe(port);
  });

  test('secrets can be files', () => {
    const settings = {
      HYPERFEED_DATABASE_URL: '',
      HYPERFEED_DATABASE_URL_FILE: '/run/secrets/database_url',
    };
    for (const [, { environment = {}, volumes }] of daemons.slice(0, 2)) {
      expect(interpolate(environment['DATABASE_URL'] ?? '', settings)).toBe('');
      expect(interpolate(environment['DATABASE_URL_FILE'] ?? '', settings)).toBe(
        settings.HYPERFEED_DATABASE_URL_FILE,
      );
      expect(volumes).toContain('./ops/secrets:/run/secrets:ro');
    }
    expect(readdirSync(join(ROOT, 'ops/secrets'))).toContain('.gitignore');
  });

  test.for(services)('%s is confined', ([, one]) => {
    expect(one).toMatchObject({
      init: true,
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      logging: { options: { 'max-size': '10m', 'max-file': '5' } },
    });
    expect(one.user).toBeDefined();
    expect(one.user).not.toMatch(/^(root|0)(:|$)/);
    expect(one.mem_limit).toMatch(/^\d+[mg]$/);
    expect(one.pids_limit).toBeGreaterThan(0);
    expect(one.tmpfs?.join()).toContain('/tmp:');
    expect(one.restart).toMatch(/^(unless-stopped|on-failure:3)$/);
    // A heap that is larger than the container ends in a kill.
    const heapMib = /--max-old-space-size=(\d+)/.exec(one.environment?.['NODE_OPTIONS'] ?? '')?.[1];
    if (heapMib) expect(Number(heapMib)).toBeLessThan(inMib(one.mem_limit) / 1.5);
    for (const port of one.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
    if (one.healthcheck?.disable) expect(one.command).toEqual(['migrate']);
    else expect(one.healthcheck?.start_interval).toMatch(/^[12]s$/);
    // Ours is built; every other names an exact version.
    if (one.build) expect([one.build, one.image]).toEqual(['.', 'hyperfeed:local']);
    else expect(one.image).toMatch(/^[a-z]+\/[a-z]+:v?\d+\.\d+\.\d+/);
  });

  test('what it names is there', () => {
    const mounted: string[] = [];
    for (const [, { volumes = [], depends_on: needed = {} }] of services) {
      for (const volume of volumes) {
        const [from = '', to = ''] = volume.split(':');
        expect(to).toMatch(/^\//);
        if (from.startsWith('.')) {
          expect(existsSync(join(ROOT, normalize(from))), from).toBe(true);
          expect(volume).toMatch(/:ro$/);
        } else mounted.push(from);
      }
      for (const [name, { condition }] of Object.entries(needed)) {
        if (condition === 'service_healthy') expect(service(name).healthcheck).toBeDefined();
      }
    }
    expect(mounted.toSorted()).toEqual(Object.keys(compose.volumes).toSorted());
    const ports = services.flatMap(([, { ports: own = [] }]) =>
      own.map((port) => interpolate(port)),
    );
    expect(new Set(ports.map((port) => port.split(':')[1])).size).toBe(ports.length);
    // Profiles: whoever starts one service gets what it needs.
    for (const [name, { profiles, depends_on: needed = {} }] of services) {
      for (const other of Object.keys(needed)) {
        const theirs = service(other).profiles;
        expect(theirs === undefined || theirs.some((one) => profiles?.includes(one)), name).toBe(
          true,
        );
      }
    }
  });

  test('database: Community edition, asked over TCP; migrations once, before any daemon', () => {
    const { image, healthcheck } = service('database');
    expect(image).toMatch(/^timescale\/timescaledb:2\.\d+\.\d+-pg17$/);
    expect(healthcheck?.test?.join(' ')).toMatch(/^CMD pg_isready --host=127\.0\.0\.1 /);
    expect(service('migrate').depends_on).toEqual({ database: { condition: 'service_healthy' } });
    for (const [name, { depends_on: needed, environment = {} }] of daemons) {
      const migrates = environment['HYPERFEED__DATABASE__MIGRATE'] === 'true';
      expect(migrates).toBe(name === 'binance-simulated');
      if (!migrates) {
        expect(needed?.['migrate']).toEqual({ condition: 'service_completed_successfully' });
      }
    }
    expect(statSync(join(ROOT, 'ops/postgres/10-roles.sh')).mode & 0o111).toBe(0o111);
  });

  test('.env.example has every variable, at its default', () => {
    const example = read('.env.example');
    const used = new Map(
      [...source.matchAll(/\$\{(\w+):?-([^${}]*)\}/g)].map(([, name = '', value = '']) => [
        name,
        value,
      ]),
    );
    for (const [name, value] of used) {
      if (name.endsWith('_SYMBOLS')) continue;
      const line = new RegExp(`^(# )?${name}=(.*)$`, 'm').exec(example);
      expect(line, name).not.toBeNull();
      if (!line?.[1]) expect(line?.[2], name).toBe(value);
    }
    const known = new Set([...source.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name));
    for (const [, name = ''] of example.matchAll(/^(?:# )?([A-Z_]+)=/gm)) {
      expect(known.has(name) || name === 'COMPOSE_PROFILES', name).toBe(true);
    }
  });
});

describe('Dockerfile', () => {
  test('copies what is there, and nothing that .dockerignore keeps out', () => {
    const allowed = read('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const copied = dockerfile
      .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from'))
      .flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
    for (const path of copied) expect(existsSync(join(ROOT, path)), path).toBe(true);
    expect([...new Set(copied)].toSorted()).toEqual(allowed.toSorted());
  });

  test('two stages on one image of Node 24; dependencies from the lock, without scripts', () => {
    const stages = dockerfile.filter(({ name }) => name === 'FROM').map(({ text }) => text);
    expect(stages).toEqual(['${NODE_IMAGE} AS dependencies', '${NODE_IMAGE}']);
    expect(dockerfile[0]).toEqual({ name: 'ARG', text: 'NODE_IMAGE=node:24-slim' });
    const [install] = dockerfile.filter(({ name }) => name === 'RUN');
    expect(install?.text).toMatch(/^npm ci --omit=dev --omit=optional --ignore-scripts /);
    const known = new Set('ARG FROM WORKDIR COPY RUN ENV USER EXPOSE STOPSIGNAL'.split(' '));
    for (const one of ['HEALTHCHECK', 'ENTRYPOINT', 'CMD']) known.add(one);
    for (const { name } of dockerfile) expect(known).toContain(name);
  });

  test('not root; one port, one health check, forms without a shell', () => {
    expect(last('USER')).toBe('1000:1000');
    expect(last('EXPOSE')).toBe(imageEnvironment['HYPERFEED__HTTP__PORT']);
    expect(last('EXPOSE')).toBe(String(configSchema.shape.http.parse({}).port));
    expect(JSON.parse(last('ENTRYPOINT'))).toEqual(['node', '/app/bin/hyperfeed.js']);
    expect(JSON.parse(last('CMD'))).toEqual(['run']);
    const [options = '', command = ''] = last('HEALTHCHECK').split(' CMD ');
    expect(options).toContain('--start-interval=');
    const [program, flag, script = ''] = JSON.parse(command) as string[];
    expect([program, flag]).toEqual(['node', '-e']);
    expect(script).toContain('/livez');
    // Who stays inside a container that is confined must own the folder of the spool.
    const directory = imageEnvironment['HYPERFEED__SPOOL__DIRECTORY'];
    const [, made] = dockerfile.filter(({ name }) => name === 'RUN');
    expect(made?.text).toBe(
      `install --directory --mode=0700 --owner=node --group=node ${directory}`,
    );
    for (const [, { user }] of daemons) expect(user).toBe(last('USER'));
  });
});

function inMib(limit = ''): number {
  return Number.parseInt(limit, 10) * (limit.endsWith('g') ? 1024 : 1);
}
