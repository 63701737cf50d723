import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config-load.ts';
import { configSchema } from '../../src/config.ts';
import { renderConfigurationDoc, renderDefaultYaml } from '../support/docs-config.ts';

const DEFAULTS = new URL('../../config/default.yaml', import.meta.url).pathname;

describe('what is generated from the schema', () => {
  test('config/default.yaml is up to date', async () => {
    await expect(renderDefaultYaml()).toMatchFileSnapshot(DEFAULTS);
  });

  test('docs/configuration.md is up to date', async () => {
    await expect(renderConfigurationDoc()).toMatchFileSnapshot('../../docs/configuration.md');
  });

  test('config/default.yaml says what the schema says', () => {
    expect(parse(readFileSync(DEFAULTS, 'utf8'))).toEqual(configSchema.parse({}));
    expect(loadConfig({ file: DEFAULTS, env: {}, flags: {} }).config).toEqual(
      configSchema.parse({}),
    );
  });

  test('config/binance.yaml is valid', () => {
    const file = new URL('../../config/binance.yaml', import.meta.url).pathname;
    expect(loadConfig({ file, env: {}, flags: {} }).config.exchange).toBe('binance');
  });
});
