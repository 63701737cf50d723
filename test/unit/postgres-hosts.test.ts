import { expect, test } from 'vitest';
import { configSchema } from '../../src/config.ts';
import { urlsByHost } from '../../src/postgres-hosts.ts';

test('a URL for each host, with everything else of it', () => {
  expect(urlsByHost('postgres://u:p%40ss@one:5432,two,[::1]:5433/db?sslmode=disable')).toEqual([
    'postgres://u:p%40ss@one:5432/db?sslmode=disable',
    'postgres://u:p%40ss@two/db?sslmode=disable',
    'postgres://u:p%40ss@[::1]:5433/db?sslmode=disable',
  ]);
  expect(urlsByHost('postgres://one/db')).toEqual(['postgres://one/db']);
  expect(urlsByHost('postgresql:///db?host=/tmp')).toEqual(['postgresql:///db?host=/tmp']);
  expect(urlsByHost('nonsense')).toEqual(['nonsense']);
});

test.each(['postgres://one:5432,two:99999/db', 'mysql://one,two/db'])('%s is refused', (url) => {
  expect(configSchema.safeParse({ database: { url } }).error?.issues[0]).toMatchObject({
    path: ['database', 'url'],
  });
});
