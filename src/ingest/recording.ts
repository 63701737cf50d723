/**
 * Recorded traffic: JSON lines, plain or gzip, one frame a line, as `record` writes it.
 *
 * All files of one recording (`rec`) share the counter `n`; read together they are merged on it, which
 * gives the connection as it was. Within a file `n` grows, so the merge holds one line of each file.
 */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { HyperfeedError, messageOf } from '../errors.ts';

export interface RecordedLine {
  /** Receive time in Unix seconds, with the digits of the file: a double would round nanoseconds. */
  readonly ts: string | null;
  readonly dir: 'in' | 'out' | 'http' | 'open';
  /** Of `http` and `open` lines. */
  readonly url?: string;
  /** The text exactly as it was on the wire; of a gzip frame the text inside. */
  readonly frame: string;
  readonly enc?: 'gzip' | 'binary-utf8';
  /** The bytes of a gzip frame. */
  readonly b64?: string;
  readonly conn?: string;
  /** Position in the recording. */
  readonly n: number;
  readonly rec: string;
}

/** A file that is not a recording, or files that do not belong together. */
export class RecordingError extends HyperfeedError {}

/** The lines of these files, recording after recording, each in the order in which it was recorded. */
export async function* readRecordings(paths: readonly string[]): AsyncGenerator<RecordedLine> {
  const files = paths.map((path) => ({ path, lines: readLines(path) }));
  try {
    yield* merge(files);
  } finally {
    await Promise.all(files.map(({ lines }) => lines.return(undefined)));
  }
}

interface RecordingFile {
  readonly path: string;
  readonly lines: AsyncGenerator<RecordedLine, undefined, undefined>;
}

interface Head extends RecordingFile {
  readonly line: RecordedLine;
}

async function* merge(files: readonly RecordingFile[]): AsyncGenerator<RecordedLine> {
  const ended = new Set<string>();
  let heads = (await Promise.all(files.map(advance))).filter((head) => head !== null);
  let current = earliest(heads)?.line.rec;
  while (current !== undefined) {
    let next: Head | undefined;
    for (const head of heads) {
      if (head.line.rec === current && (!next || head.line.n < next.line.n)) next = head;
    }
    if (next === undefined) {
      ended.add(current);
      current = earliest(heads)?.line.rec;
      continue;
    }
    yield next.line;
    const following = await advance(next);
    heads = heads.flatMap((head) => (head === next ? (following ?? []) : head));
    if (following) requireOrder(next, following, ended);
  }
}

async function advance({ path, lines }: RecordingFile): Promise<Head | null> {
  const result = await lines.next();
  return result.done === true ? null : { path, lines, line: result.value };
}

/** Which recording comes next: the older one, or that of the file named first. */
function earliest(heads: readonly Head[]): Head | undefined {
  let found = heads[0];
  for (const head of heads) {
    if (Number(head.line.ts ?? Infinity) < Number(found?.line.ts ?? Infinity)) found = head;
  }
  return found;
}

function requireOrder(
  { path, line }: Head,
  { line: next }: Head,
  ended: ReadonlySet<string>,
): void {
  if (next.rec === line.rec && next.n <= line.n) {
    throw new RecordingError('recording_order', `${path}: n ${next.n} follows ${line.n}`);
  }
  if (ended.has(next.rec)) {
    throw new RecordingError(
      'recording_order',
      `${path}: recording ${next.rec} goes on after its end`,
    );
  }
}

async function* readLines(path: string): AsyncGenerator<RecordedLine, undefined, undefined> {
  const file = createReadStream(path);
  // An error anywhere in a pipeline destroys its last stream with it, and so reaches the loop below.
  const text = path.endsWith('.gz') ? pipeline(file, createGunzip(), () => undefined) : file;
  text.setEncoding('utf8');
  let number = 0;
  let rest = '';
  try {
    for await (const chunk of text) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        number += 1;
        if (line !== '') yield parseLine(line, `${path}:${number}`);
      }
    }
  } catch (error) {
    if (error instanceof RecordingError) throw error;
    throw new RecordingError('recording_read', `${path}: ${messageOf(error)}`, { cause: error });
  }
  if (rest !== '') yield parseLine(rest, `${path}:${number + 1}`);
}

function parseLine(line: string, where: string): RecordedLine {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line, keepDigitsOfTime);
  } catch (error) {
    throw new RecordingError('recording_line', `${where}: not JSON: ${messageOf(error)}`);
  }
  const problem = problemOf(parsed as Partial<Record<keyof RecordedLine, unknown>> | null);
  if (problem !== null) throw new RecordingError('recording_line', `${where}: ${problem}`);
  return parsed as RecordedLine;
}

function problemOf(line: Partial<Record<keyof RecordedLine, unknown>> | null): string | null {
  if (typeof line !== 'object' || line === null) return 'not an object';
  const { ts, dir, frame, n, rec } = line;
  if (ts !== null && !(typeof ts === 'string' && Number.isFinite(Number(ts)))) return 'bad ts';
  if (dir !== 'in' && dir !== 'out' && dir !== 'http' && dir !== 'open') return 'bad dir';
  if (typeof frame !== 'string') return 'bad frame';
  if (!Number.isSafeInteger(n)) return 'bad n';
  return typeof rec === 'string' ? null : 'bad rec';
}

function keepDigitsOfTime(key: string, value: unknown, context?: { source?: string }): unknown {
  return key === 'ts' && typeof value === 'number' ? context?.source : value;
}
