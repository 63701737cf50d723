/** Trade frames of the recordings in HYPERFEED_FRAMES, where there is that folder: real digits. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { readRecordings } from '../src/ingest/recording.ts';
import { loadAdapter } from '../src/ingest/registry.ts';
import { framesDir, recordingFiles } from '../test/support/recordings.ts';

/** Fewer of them are learned by heart. */
const LEAST = 100;

/** Over and over, `count` in all; undefined where too few were recorded. */
export async function recordedTradeFrames(
  exchange: string,
  count: number,
): Promise<string[] | undefined> {
  const folder = framesDir();
  if (folder === undefined || !existsSync(path.join(folder, exchange))) return undefined;
  const adapter = await loadAdapter(exchange);
  const frames: string[] = [];
  for await (const { dir, frame } of readRecordings(recordingFiles(exchange, /^trades/))) {
    if (dir !== 'in' || frames.length === count) continue;
    const decoded = adapter.decode(frame, adapter.open({ bookDepth: 20 }));
    if (decoded.some(({ kind }) => kind === 'trade')) frames.push(frame);
  }
  if (frames.length < LEAST) return undefined;
  return Array.from({ length: count }, (_, i) => frames[i % frames.length] ?? '');
}
