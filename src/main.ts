/** Environment, output, signals, exit code: the only user of `process`. */
import { once } from 'node:events';
import { CommanderError } from 'commander';
import { createProgram } from './cli/program.ts';
import { codeOf, reasonOf, UsageError } from './errors.ts';
import { describeError, scrub } from './log.ts';

const EXIT_RUNTIME = 1;
const EXIT_USAGE = 2;
const EXIT_CRASH = 70;
/** After a crash: to get what was received to disk. */
const CRASH_GRACE_MS = 1_000;

const { argv, env, stderr, stdout } = process;
const stop = new AbortController();
let exitCode = 0;

const program = createProgram({
  env,
  nodeVersion: process.version,
  signal: stop.signal,
  isTerminal: stdout.isTTY,
  isErrorTerminal: stderr.isTTY,
  write: (text) => void stdout.write(text),
  writeAll,
  warn,
  exitWith,
});

/** A crash stays one, however well the command ended after it. */
function exitWith(code: number): void {
  if (exitCode !== EXIT_CRASH) exitCode = code;
}

let json = false;
program.hook('preAction', (_, command) => {
  json = command.optsWithGlobals<{ json?: boolean }>().json ?? false;
});

function warn(text: string): void {
  stderr.write(text);
}

async function writeAll(text: string): Promise<void> {
  if (!stdout.write(text)) await once(stdout, 'drain');
}

/** A pipe takes what fits; what does not would be lost with the process. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}

function fail(error: unknown): number {
  if (error instanceof CommanderError) {
    // Its message is out already; help and version are no failures.
    return error.exitCode === 0 ? 0 : EXIT_USAGE;
  }
  const message = scrub(reasonOf(error));
  const code = codeOf(error);
  warn(json ? `${JSON.stringify({ error: { code, message } })}\n` : `hyperfeed: ${message}\n`);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_RUNTIME;
}

function onSignal(signal: NodeJS.Signals): void {
  if (stop.signal.aborted) {
    warn(`${signal} again: aborting; accepted rows are on disk\n`);
    process.exit(EXIT_RUNTIME);
  }
  stop.abort(signal);
}

function onCrash(error: unknown): void {
  warn(`${JSON.stringify({ level: 'fatal', err: describeError(error), msg: 'crashed' })}\n`);
  exitCode = EXIT_CRASH;
  stop.abort(error);
  setTimeout(() => process.exit(EXIT_CRASH), CRASH_GRACE_MS);
}

process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);
process.on('SIGHUP', onSignal);
process.on('uncaughtException', onCrash);
process.on('unhandledRejection', onCrash);
stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `| head` has seen enough.
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync(argv);
} catch (error) {
  exitWith(fail(error));
}
await Promise.all([flushed(stdout), flushed(stderr)]);
process.exit(exitCode);
