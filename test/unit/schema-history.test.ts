import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import {
  type Migration,
  MIGRATIONS,
  pendingNames,
  readMigrationFiles,
} from '../../src/schema/history.ts';

test('our migrations are numbered without a hole', async () => {
  const files = await readMigrationFiles(MIGRATIONS);
  expect(files.length).toBeGreaterThan(0);
  for (const [index, { name }] of files.entries()) {
    expect(name).toMatch(new RegExp(`^${String(index + 1).padStart(4, '0')}_[a-z0-9_]+$`));
  }
});

test('the checksum does not see how a checkout ends its lines', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'hyperfeed-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await writeFile(join(directory, '0001_unix.sql'), 'SELECT 1;\nSELECT 2;\n');
  await writeFile(join(directory, '0002_windows.sql'), 'SELECT 1;\r\nSELECT 2;\r\n');
  const [unix, windows] = await readMigrationFiles(directory);
  expect(unix?.sha256).toBe(windows?.sha256);
});

test('a database ahead of the code is refused before a changed file is', () => {
  expect(pendingNames([at('0001_a', 'applied'), at('0002_b', 'pending')])).toEqual(['0002_b']);
  expect(() => pendingNames([at('0001_a', 'changed'), at('0002_b', 'unknown')])).toThrowError(
    expect.objectContaining({
      code: 'schema_ahead',
      message: expect.stringContaining('0002_b') as string,
    }),
  );
  expect(() => pendingNames([at('0001_a', 'changed'), at('0002_b', 'pending')])).toThrowError(
    expect.objectContaining({
      code: 'migration_changed',
      message: expect.stringContaining('0001_a.sql') as string,
    }),
  );
});

function at(name: string, state: Migration['state']): Migration {
  return { name, state, appliedAt: null };
}
