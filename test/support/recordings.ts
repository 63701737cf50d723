/** The shared folders of recorded traffic and of what it must become. Absent: tests are skipped. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/** HYPERFEED_FRAMES, or the folder next to the project. */
export function framesDir(): string | undefined {
  return present(process.env['HYPERFEED_FRAMES'] ?? path.join(root, '../shared/frames'));
}

/** The expectations: always next to the frames. */
export function expectedDir(): string | undefined {
  const frames = framesDir();
  return frames && present(`${frames}-expected`);
}

/** Recorded files of one exchange whose name matches, for `readRecordings`. */
export function recordingFiles(exchange: string, name: RegExp): string[] {
  const frames = framesDir();
  if (frames === undefined) return [];
  const folder = path.join(frames, exchange);
  const files = readdirSync(folder).filter((file) => /\.jsonl(\.gz)?$/.test(file));
  return files.filter((file) => name.test(file)).map((file) => path.join(folder, file));
}

const present = (folder: string) => (existsSync(folder) ? folder : undefined);
