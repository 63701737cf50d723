/** What is said of the exchanges outside of their adapters. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config-load.ts';
import { exchangeIds, loadExchange } from '../../src/ingest/registry.ts';
import { renderExchangesTable } from '../support/docs-exchanges.ts';

const ROOT = new URL('../..', import.meta.url);
const files = readdirSync(new URL('config', ROOT)).filter((name) => name !== 'default.yaml');

const load = (name: string) =>
  loadConfig({ file: new URL(`config/${name}`, ROOT).pathname, env: {}, flags: {} }).config;

test('the table of README.md is that of the registry', async () => {
  const readme = readFileSync(new URL('README.md', ROOT), 'utf8');
  expect(readme).toContain(await renderExchangesTable());
});

describe('config/', () => {
  test('has a file for each exchange', () => {
    expect(files.map((name) => load(name).exchange)).toEqual(
      expect.arrayContaining([...exchangeIds]),
    );
  });

  test.each(files)('%s is valid, of an exchange that has its channels', async (name) => {
    const { exchange, channels } = load(name);
    const { channels: offered } = await loadExchange(exchange);
    expect(`${exchange.replace(/:.*/, '')}.yaml`).toBe(name);
    expect(Object.keys(offered)).toEqual(expect.arrayContaining(channels));
  });
});
