import { expect, test } from 'vitest';
import { parseRedisUrl, redisUrlProblem } from '../../src/redis-url.ts';

test('one server', () => {
  expect(parseRedisUrl('redis://localhost')).toEqual({
    kind: 'single',
    tls: false,
    hosts: [{ host: 'localhost', port: 6379 }],
    database: 0,
  });
  expect(parseRedisUrl('rediss://me:p%40s%2Fs@[::1]:7/3')).toEqual({
    kind: 'single',
    tls: true,
    hosts: [{ host: '::1', port: 7 }],
    username: 'me',
    password: 'p@s/s',
    database: 3,
  });
  expect(parseRedisUrl('redis://:a:b@c@10.0.0.1/')).toMatchObject({
    hosts: [{ host: '10.0.0.1', port: 6379 }],
    password: 'a:b@c',
  });
});

test('behind Sentinels', () => {
  expect(parseRedisUrl('rediss+sentinel://u:p@a:1,b/my%20prices/2')).toEqual({
    kind: 'sentinel',
    tls: true,
    hosts: [
      { host: 'a', port: 1 },
      { host: 'b', port: 26_379 },
    ],
    username: 'u',
    password: 'p',
    primary: 'my prices',
    database: 2,
  });
});

test('a cluster', () => {
  expect(parseRedisUrl('redis+cluster://a:7000,b:7001')).toMatchObject({
    kind: 'cluster',
    hosts: [
      { host: 'a', port: 7000 },
      { host: 'b', port: 7001 },
    ],
    database: 0,
  });
});

test.each([
  ['http://canary', 'must be a URL that starts with redis:// or rediss://'],
  ['redis+proxy://canary', 'must be a URL that starts with'],
  ['redis://canary?db=1', 'takes no ?query'],
  ['redis://canary,b', 'takes redis+sentinel:// or redis+cluster://'],
  ['redis://:canary@', 'must name a host'],
  ['redis://canary:99999', 'must name a host'],
  ['redis://canary/x', 'must end in the number of a database'],
  ['redis://canary/1/2', 'must end in the number of a database'],
  ['redis://:canary%@h', 'has a % that encodes nothing'],
  ['redis+sentinel://canary:1', 'must name the primary'],
  ['redis+sentinel://canary:1//', 'must name the primary'],
  ['redis+cluster://canary/1', 'a cluster has number 0 alone'],
])('%s: %s', (url, problem) => {
  expect(redisUrlProblem(url)).toContain(problem);
  expect(redisUrlProblem(url)).not.toContain('canary');
});
