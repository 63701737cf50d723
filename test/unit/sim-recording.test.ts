import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readRecordings, type RecordedLine } from '../../src/ingest/recording.ts';
import { framesDir, recordingFiles } from '../support/recordings.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'hyperfeed-recording-'));
});
afterAll(() => rm(folder, { recursive: true }));

const line = (rec: string, n: number, ts = `${n}.5`) =>
  `{"ts":${ts},"dir":"in","frame":"${rec}${n}","n":${n},"rec":"${rec}"}\n`;

async function write(name: string, text: string | Buffer): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, text);
  return file;
}

async function read(...files: string[]): Promise<RecordedLine[]> {
  const lines: RecordedLine[] = [];
  for await (const recorded of readRecordings(files)) lines.push(recorded);
  return lines;
}

describe('readRecordings', () => {
  test('merges the files of a recording on n, recording after recording', async () => {
    const first = await write(
      'a.jsonl',
      line('x', 2) + line('x', 3) + line('y', 101) + line('y', 104),
    );
    const second = await write(
      'b.jsonl.gz',
      gzipSync(line('x', 1) + line('x', 4) + line('y', 102)),
    );
    const third = await write('c.jsonl', line('y', 103).trimEnd());
    const frames = (await read(first, second, third)).map(({ frame }) => frame);
    expect(frames).toEqual(['x1', 'x2', 'x3', 'x4', 'y101', 'y102', 'y103', 'y104']);
  });

  test('starts with the older recording, whichever file is named first', async () => {
    const both = await write('d.jsonl', line('old', 1, '10') + line('new', 1, '30'));
    const middle = await write('e.jsonl', line('middle', 1, '20') + line('new', 2, '31'));
    const names = (await read(middle, both)).map(({ rec, n }) => `${rec}${n}`);
    expect(names).toEqual(['old1', 'middle1', 'new1', 'new2']);
  });

  test('keeps the digits of the receive time, and null', async () => {
    const file = await write(
      'f.jsonl',
      line('x', 1, '1723161254.206652067') + line('x', 2, 'null'),
    );
    expect((await read(file)).map(({ ts }) => ts)).toEqual(['1723161254.206652067', null]);
  });

  test.each([
    ['{"ts":1', ':2: not JSON'],
    ['[]', ':2: bad ts'],
    ['null', ':2: not an object'],
    ['{"ts":1,"dir":"up","frame":"","n":1,"rec":"x"}', ':2: bad dir'],
    ['{"ts":1,"dir":"in","n":1,"rec":"x"}', ':2: bad frame'],
    ['{"ts":1,"dir":"in","frame":"","n":1.5,"rec":"x"}', ':2: bad n'],
    [line('x', 1), 'n 1 follows 1'],
    [line('y', 2) + line('x', 9), 'recording x goes on after its end'],
  ])('names the file and line of %j', async (bad, problem) => {
    const file = await write('bad.jsonl', line('x', 1) + bad);
    await expect(read(file)).rejects.toThrow(problem);
    await expect(read(file)).rejects.toThrow('bad.jsonl');
  });

  test('reports what cannot be read', async () => {
    await expect(read(path.join(folder, 'absent.jsonl'))).rejects.toThrow('absent.jsonl: ENOENT');
    await expect(read(path.join(folder, 'absent.jsonl.gz'))).rejects.toThrow('ENOENT');
    const torn = await write('torn.jsonl.gz', gzipSync(line('x', 1)).subarray(0, -5));
    await expect(read(torn)).rejects.toThrow('torn.jsonl.gz: unexpected end of file');
  });

  test('ends when the reader stops early', async () => {
    const file = await write(
      'long.jsonl',
      Array.from({ length: 5000 }, (_, n) => line('x', n)).join(''),
    );
    for await (const { n } of readRecordings([file, file])) {
      expect(n).toBe(0);
      break;
    }
  });

  test.skipIf(framesDir() === undefined)('reads the shared recordings in order', async () => {
    const files = recordingFiles('binance', /^(book|trades|candles|control|markets|ticker)\./);
    const lines: Record<string, number> = {};
    const last: Record<string, number> = {};
    for await (const { rec, n } of readRecordings(files)) {
      lines[rec] = (lines[rec] ?? 0) + 1;
      expect(n).toBeGreaterThan(last[rec] ?? -1);
      last[rec] = n;
    }
    expect(lines).toEqual({
      'cf-binance-20210417': 1240,
      'cf-binance-20210814': 714,
      'hft-spot-btcusdt-20240808': 41_249,
    });
  });
});
