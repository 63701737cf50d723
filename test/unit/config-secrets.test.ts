/** Secrets from files, what is masked of them, and the one variable for every allowInsecure. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { describeConfig, loadConfig, maskConfig } from '../../src/config-load.ts';

const folder = mkdtempSync(join(tmpdir(), 'hyperfeed-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));

const load = (env: NodeJS.ProcessEnv) => loadConfig({ env, flags: {} });
const file = (name: string, text: string) => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

test('every secret can be in a file, by the name of its variable', () => {
  const { config, origins } = load({
    HTTP_TOKEN_FILE: file('token', 'canary-token-0123456789\n'),
    HYPERFEED__REDIS__SENTINEL_PASSWORD_FILE: file('sentinel', 'canary \r\n'),
    HYPERFEED__CONNECTION__WS_URL_FILE: file('ws', 'wss://exchange.example.org?key=canary'),
    // The key ends so; it is no file with the name of a file.
    HYPERFEED__REDIS__CA_FILE: '/ca.pem',
  });
  expect(config.http.token).toBe('canary-token-0123456789');
  expect(config.redis.sentinelPassword).toBe('canary ');
  expect(config.connection.wsUrl).toBe('wss://exchange.example.org?key=canary');
  expect(config.redis.caFile).toBe('/ca.pem');
  expect(origins.get('http.token')).toBe('env HTTP_TOKEN_FILE');
  expect(JSON.stringify(maskConfig(config))).not.toContain('canary');
  const shown = describeConfig({ config, origins });
  expect(shown.join('\n')).not.toContain('canary');
  expect(shown).toContain('http.token = ***  (from env HTTP_TOKEN_FILE)');
  expect(shown).toContain(
    'connection.wsUrl = wss://exchange.example.org?***  (from env HYPERFEED__CONNECTION__WS_URL_FILE)',
  );
});

test('what is no secret is not read from a file, and a file that is not there is named', () => {
  expect(() => load({ HYPERFEED__HTTP__HOST_FILE: file('host', 'h') })).toThrow(
    'env HYPERFEED__HTTP__HOST_FILE: is not a key',
  );
  expect(() => load({ HTTP_TOKEN_FILE: '/nonexistent' })).toThrow(
    'env HTTP_TOKEN_FILE: /nonexistent: no such file',
  );
  expect(() => load({ HTTP_TOKEN: 'canary' })).toThrow(
    /^configuration: env HTTP_TOKEN: http.token must be 16 or more letters and digits$/,
  );
});

test.each([
  ['1', true],
  ['true', true],
  ['0', false],
  ['FALSE', false],
  ['', false],
])('ALLOW_INSECURE=%s', (text, expected) => {
  const { config } = load({ ALLOW_INSECURE: text });
  const { database, redis, connection } = config;
  expect([database, redis, connection].map((section) => section.allowInsecure)).toEqual(
    Array(3).fill(expected),
  );
});

test('one section can differ from ALLOW_INSECURE, and nothing else is understood', () => {
  const { config } = load({
    ALLOW_INSECURE: '1',
    HYPERFEED__CONNECTION__ALLOW_INSECURE: 'false',
  });
  expect(config.connection.allowInsecure).toBe(false);
  expect(config.redis.allowInsecure).toBe(true);
  expect(() => load({ ALLOW_INSECURE: 'yes' })).toThrow('env ALLOW_INSECURE: must be 1 or 0');
  expect(() => load({ NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toThrow('TLS is always verified');
});
