/** `hyperfeed status`: what a running daemon says of itself. */
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, HyperfeedError, messageOf, reasonOf } from '../errors.ts';
import { type DaemonStatus, type Look, statusScreen } from './status-screen.ts';

export interface StatusOptions {
  /** Of the daemon's health server. */
  readonly url: string;
  readonly token: string | undefined;
  /** Again and again, until the signal. */
  readonly watch: boolean;
  readonly json: boolean;
  /** The screen is painted over, not continued. */
  readonly isTerminal: boolean;
  readonly write: (text: string) => void;
  readonly signal: AbortSignal;
}

const TIMEOUT_MS = 5_000;
const EVERY_MS = 2_000;
/** To the top left, and nothing below. */
const CLEAR = '\u001B[H\u001B[2J';

/** Resolves to the exit code: 1 unless all is well. Without `watch`, throws `unreachable`. */
export async function runStatus(options: StatusOptions): Promise<number> {
  const { watch, signal } = options;
  if (!watch) {
    const look = await ask(options);
    options.write(
      options.json ? `${JSON.stringify(look.status)}\n` : statusScreen(options.url, look),
    );
    return codeFor(look);
  }
  let before: Look | undefined;
  let code = 1;
  while (!signal.aborted) {
    const { text, look } = await show(options, before);
    if (signal.aborted) break;
    code = look ? codeFor(look) : 1;
    before = look;
    options.write(options.isTerminal && !options.json ? `${CLEAR}${text}` : text);
    await sleep(EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
  return code;
}

function codeFor({ status }: Look): number {
  return status.status === 'ok' ? 0 : 1;
}

async function show(options: StatusOptions, before: Look | undefined) {
  const { url, json } = options;
  try {
    const look = await ask(options);
    const text = json ? `${JSON.stringify(look.status)}\n` : statusScreen(url, look, before);
    return { text, look };
  } catch (error) {
    const message = messageOf(error);
    const text = json
      ? `${JSON.stringify({ error: { code: codeOf(error), message } })}\n`
      : `${message}\n`;
    return { text, look: undefined };
  }
}

async function ask({ url, token, signal }: StatusOptions): Promise<Look> {
  const address = new URL('status', url.endsWith('/') ? url : `${url}/`);
  const response = await fetch(address, {
    headers: { Accept: 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw unreachable(url, error);
  });
  if (response.status === 401) {
    throw new HyperfeedError(
      'token_wanted',
      `the daemon at ${url} wants its token: set HTTP_TOKEN to what http.token is there`,
    );
  }
  const status: unknown = await response.json().catch(() => undefined);
  if (!response.ok || !isStatus(status)) {
    throw new HyperfeedError(
      'no_daemon',
      `what answers at ${url} (HTTP ${response.status}) is no hyperfeed: is it another port? See --url`,
    );
  }
  return { status, atMs: performance.now() };
}

function isStatus(value: unknown): value is DaemonStatus {
  const { status, exchange, reasons, parts } = (value ?? {}) as Record<string, unknown>;
  const named = typeof status === 'string' && typeof exchange === 'string';
  return named && Array.isArray(reasons) && typeof parts === 'object' && parts !== null;
}

function unreachable(url: string, error: unknown): HyperfeedError {
  return new HyperfeedError(
    'unreachable',
    `no daemon answers at ${url} (${reasonOf(error)}). Does it run (hyperfeed run)? ` +
      'On another machine or port: --url http://HOST:PORT. http.enabled: false has no status',
    { cause: error },
  );
}
