import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { readRecordings, type RecordedLine } from '../../src/ingest/recording.ts';
import { startRecordingServer, type RecordingServerOptions } from '../support/recording-server.ts';
import { framesDir, recordingFiles } from '../support/recordings.ts';

const record = (n: number, more: Partial<RecordedLine>): RecordedLine => ({
  ts: '1',
  dir: 'in',
  frame: '',
  n,
  rec: 'test',
  ...more,
});
const depthUrl = 'https://www.binance.com/api/v1/depth?symbol=BTCUSDT&limit=1000';
const RECORDS = [
  record(1, { frame: '{"data":{"s":"BTCUSDT","n":1}}' }),
  record(2, { dir: 'http', url: depthUrl, frame: '{"lastUpdateId":1}' }),
  record(3, { frame: '{"data":{"s":"ETHBTC","n":2}}' }),
  record(4, { dir: 'http', url: depthUrl, frame: '{"lastUpdateId":2}' }),
  record(5, { dir: 'out', frame: 'not for the client' }),
];

async function start(options: RecordingServerOptions) {
  const server = await startRecordingServer(options);
  onTestFinished(() => server.stop());
  return server;
}

async function subscribe(wsUrl: string) {
  const socket = new WebSocket(`${wsUrl}/stream`);
  const received: string[] = [];
  socket.on('message', (data) => received.push((data as Buffer).toString()));
  await once(socket, 'open');
  socket.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":7}');
  return { socket, received };
}

test('acknowledges, plays the received frames once, and answers REST as recorded', async () => {
  const server = await startRecordingServer({ records: RECORDS });
  const { wsUrl, restUrl, done } = server;
  const { socket, received } = await subscribe(wsUrl);
  const closed = once(socket, 'close');
  await done;
  const depth = async () =>
    (await fetch(`${restUrl}/api/v3/depth?symbol=BTCUSDT&limit=5000`)).text();
  expect([await depth(), await depth(), await depth()]).toEqual([
    '{"lastUpdateId":1}',
    '{"lastUpdateId":2}',
    '{"lastUpdateId":2}',
  ]);
  const info = await (await fetch(`${restUrl}/api/v3/exchangeInfo`)).json();
  expect(info).toMatchObject({
    symbols: [
      { symbol: 'BTCUSDT', baseAsset: 'BTC', quoteAsset: 'USDT' },
      { symbol: 'ETHBTC', baseAsset: 'ETH', quoteAsset: 'BTC' },
    ],
  });
  expect((await fetch(`${restUrl}/api/v3/depth?symbol=ETHBTC`)).status).toBe(404);
  await server.stop();
  await closed;
  expect(received).toEqual(['{"result":null,"id":7}', RECORDS[0]?.frame, RECORDS[2]?.frame]);
});

test('a client that comes back gets the rest', async () => {
  const { wsUrl, done } = await start({ records: RECORDS, pauseMs: 50 });
  const first = await subscribe(wsUrl);
  await once(first.socket, 'message');
  await once(first.socket, 'message');
  first.socket.terminate();
  const second = await subscribe(wsUrl);
  await done;
  second.socket.close();
  await once(second.socket, 'close');
  expect([...first.received, ...second.received].filter((frame) => frame.includes('data'))).toEqual(
    [RECORDS[0]?.frame, RECORDS[2]?.frame],
  );
});

test.skipIf(framesDir() === undefined)('plays a shared recording byte for byte', async () => {
  const files = recordingFiles(
    'binance',
    /^(book|trades|candles|control|markets)\.(jsonl|jsonl\.gz)$/,
  );
  const records: RecordedLine[] = [];
  for await (const line of readRecordings(files)) {
    if (line.rec === 'cf-binance-20210417') records.push(line);
  }
  const { wsUrl, restUrl, done } = await start({ records });
  const { socket, received } = await subscribe(wsUrl);
  await done;
  socket.close();
  await once(socket, 'close');
  const frames = records.filter(({ dir }) => dir === 'in').map(({ frame }) => frame);
  expect(received.slice(1)).toEqual(frames);
  const markets = records.find(({ url }) => url?.endsWith('exchangeInfo'))?.frame;
  expect(await (await fetch(`${restUrl}/api/v3/exchangeInfo`)).text()).toBe(markets);
});
