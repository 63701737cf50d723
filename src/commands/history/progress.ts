/** How far long work is: a bar on a terminal, a line now and then elsewhere, JSON lines for machines. */

export interface ProgressOptions {
  /** Where people look. */
  readonly warn: (text: string) => void;
  /** Of where people look. */
  readonly isTerminal: boolean;
  /** For machines: an object is a line. Undefined: not wanted. */
  readonly emit?: ((line: object) => void) | undefined;
  /** What is counted. */
  readonly unit: string;
}

export type Progress = ReturnType<typeof createProgress>;

const BAR_WIDTH = 24;
const EVERY_MS = { terminal: 100, lines: 5_000, machine: 1_000 };
const WINDOW_MS = 10_000;
const CLEAR = '\r\u001B[2K';

export function createProgress({ warn, isTerminal, emit, unit }: ProgressOptions) {
  const everyMs = emit ? EVERY_MS.machine : isTerminal ? EVERY_MS.terminal : EVERY_MS.lines;
  let shownAt = performance.now();
  /** Of the last seconds: a rate of what was done before tells nothing of what comes. */
  let samples = [{ atMs: shownAt, done: 0 }];
  let total: number | undefined;
  let done = 0;
  let what = '';

  function show(): void {
    shownAt = performance.now();
    const perSecond = Math.round(rate(shownAt));
    const left = total === undefined ? undefined : Math.max(0, total - done);
    const etaSeconds = left === undefined || perSecond === 0 ? null : Math.ceil(left / perSecond);
    if (emit) {
      emit({ type: 'progress', what, done, total: total ?? null, perSecond, etaSeconds });
      return;
    }
    const share = total ? Math.min(1, done / total) : 0;
    const filled = Math.round(share * BAR_WIDTH);
    const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)}%`;
    const eta = etaSeconds === null ? '' : `  ETA ${spanText(etaSeconds)}`;
    const count = total === undefined ? `${done} ${unit}` : `${done}/${total} ${unit}`;
    const line = `${total === undefined ? '' : `${bar}  `}${count}  ${perSecond}/s${eta}  ${what}`;
    warn(isTerminal ? `${CLEAR}${line}` : `${line.trimEnd()}\n`);
  }

  function rate(nowMs: number): number {
    const since = samples.findLast(({ atMs }) => atMs <= nowMs - WINDOW_MS) ?? samples[0];
    samples = samples.filter((sample) => sample === since || sample.atMs > nowMs - WINDOW_MS);
    samples.push({ atMs: nowMs, done });
    return since ? ((done - since.done) * 1000) / Math.max(1, nowMs - since.atMs) : 0;
  }

  function advance(): void {
    if (performance.now() - shownAt >= everyMs) show();
  }

  return {
    /** More to do than was known. */
    expect(more: number): void {
      total = (total ?? 0) + more;
      advance();
    },
    add(count: number): void {
      done += count;
      advance();
    },
    /** What is being worked on. */
    on(name: string): void {
      what = name;
      samples = [{ atMs: performance.now(), done }];
      advance();
    },
    /** What comes next is the result: on a terminal it takes the place of the bar. */
    end(): void {
      if (emit) show();
      else if (isTerminal) warn(CLEAR);
    },
  };
}

function spanText(seconds: number): string {
  const pad = (value: number) => String(value).padStart(2, '0');
  return `${Math.floor(seconds / 3600)}:${pad(Math.floor(seconds / 60) % 60)}:${pad(seconds % 60)}`;
}
