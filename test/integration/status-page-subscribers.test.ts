/** Server-sent events over real sockets: nobody is waited for, and nothing piles up. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { createSubscribers } from '../../src/status-page/subscribers.ts';
import { openEvents } from '../support/event-stream.ts';
import { waitFor } from '../support/stack.ts';

const MEGABYTE = 1024 * 1024;

async function setup(options: { size: number; stuckAfterMs: number }) {
  const responses: ServerResponse[] = [];
  const calls = { first: 0, last: 0, composed: 0 };
  let version = 0;
  const text = () => {
    calls.composed++;
    return JSON.stringify({ version, padding: 'x'.repeat(options.size) });
  };
  const subscribers = createSubscribers({
    limit: 2,
    tickMs: 5,
    stuckAfterMs: options.stuckAfterMs,
    messages: () => [{ event: 'state', version, text }],
    onFirst: () => calls.first++,
    onLast: () => calls.last++,
  });
  const server = createServer((_request, response) => {
    response.writeHead(200, { Connection: 'close' });
    responses.push(response);
    subscribers.add('BTC/USDT', response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    subscribers.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { subscribers, responses, calls, url, change: () => ++version };
}

interface State {
  readonly version: number;
}

test('who does not read is cut off; one message waits for him at most, and none for the others', async () => {
  const { responses, calls, url, change } = await setup({ size: MEGABYTE, stuckAfterMs: 300 });
  const slow = await openEvents(url);
  slow.pause();
  const quick = await openEvents(url);
  let most = 0;
  const changing = setInterval(() => {
    change();
    most = Math.max(most, responses[0]?.writableLength ?? 0);
  }, 5);
  onTestFinished(() => clearInterval(changing));
  await waitFor(() => responses[0]?.destroyed, { what: 'the slow one to be cut off' });
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThan(1.1 * MEGABYTE);
  const now = change();
  await quick.next<State>('state', ({ version }) => version > now);
  expect(responses[1]?.destroyed).toBe(false);
  expect(calls).toMatchObject({ first: 1, last: 0 });
});

test('who falls behind gets the newest state, not what he missed', async () => {
  const { responses, url, change } = await setup({ size: MEGABYTE, stuckAfterMs: 60_000 });
  const events = await openEvents(url);
  await events.next('state');
  events.pause();
  await waitFor(() => change() && (responses[0]?.writableLength ?? 0) > 0, { what: 'a backlog' });
  // Changes that he does not hear of.
  for (let times = 0; times < 1_000; times++) change();
  const last = change();
  events.resume();
  await events.next<State>('state', ({ version }) => version === last);
  expect(events.told.length).toBeLessThan(100);
});

test('the same state is told once; nothing is made while nobody watches', async () => {
  const { calls, url, change, subscribers } = await setup({ size: 1, stuckAfterMs: 60_000 });
  expect(calls).toEqual({ first: 0, last: 0, composed: 0 });
  const events = await openEvents(url);
  await events.next('state');
  change();
  await events.next<State>('state', ({ version }) => version === 1);
  change();
  await events.next<State>('state', ({ version }) => version === 2);
  expect(events.told.map(({ data }) => data['version'])).toEqual([0, 1, 2]);
  expect(subscribers.hasRoom()).toBe(true);
  events.close();
  await waitFor(() => calls.last === 1, { what: 'the last one to be gone' });
  expect(calls).toEqual({ first: 1, last: 1, composed: 3 });
});

test('close ends all at once, the slow ones too, and takes nobody any more', async () => {
  const { subscribers, responses, calls, url, change } = await setup({
    size: MEGABYTE,
    stuckAfterMs: 60_000,
  });
  const quick = await openEvents(url);
  await quick.next('state');
  const slow = await openEvents(url);
  slow.pause();
  expect(subscribers.hasRoom()).toBe(false);
  await waitFor(() => change() && (responses[1]?.writableLength ?? 0) > 0, { what: 'a backlog' });
  subscribers.close();
  await quick.ended();
  await waitFor(() => responses[1]?.destroyed && calls.last === 1, { what: 'both to be gone' });
  expect(subscribers.hasRoom()).toBe(false);
});
