/**
 * Logs: JSON lines, fields first, then a fixed lower-case message.
 *
 * No secret may reach them. Errors of libraries carry some: ioredis keeps the arguments of AUTH in
 * `err.command`, pg the failing row in `detail` and a whole client. So of an error only a few fields
 * are kept, instead of a few being taken out.
 */
import { pino, stdTimeFunctions } from 'pino';
import type { DestinationStream, Level, LogFn, Logger } from 'pino';

export type { Logger } from 'pino';

export function createLogger(options: { level: Level; destination?: DestinationStream }): Logger {
  const settings = {
    level: options.level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    formatters: {
      level: (label: string) => ({ level: label }),
      log: withSafeErrors,
    },
    // pino's own serializer would copy every property of the error.
    serializers: { err: (value: unknown) => value },
    hooks: { logMethod: withMessage },
  };
  return options.destination ? pino(settings, options.destination) : pino(settings);
}

/** The same logger, whose lines of `warn` and above also go to `write`, whatever its own level is. */
export function teeLogger(logger: Logger, write: (line: string) => void): Logger {
  if (logger.level === 'silent') return logger;
  const own = Reflect.get(logger, pino.symbols.streamSym) as DestinationStream;
  const level = logger.isLevelEnabled('warn') ? (logger.level as Level) : 'warn';
  const streams = [
    { level: logger.level as Level, stream: own },
    { level: 'warn' as const, stream: { write } },
  ];
  return createLogger({ level, destination: pino.multistream(streams) });
}

export type LimitedLogger = Record<
  'info' | 'warn' | 'error',
  (fields: object, message: string) => void
>;

/** The same message at most once in `everyMs`; the next one says how many were left out. */
export function createRateLimitedLogger(logger: Logger, everyMs = 10_000): LimitedLogger {
  // Messages are fixed texts, so this map is small.
  const seen = new Map<string, { until: number; suppressed: number }>();
  const limited = (level: keyof LimitedLogger) => (fields: object, message: string) => {
    const now = performance.now();
    const last = seen.get(message);
    if (last && now < last.until) {
      last.suppressed++;
      return;
    }
    seen.set(message, { until: now + everyMs, suppressed: 0 });
    logger[level](last?.suppressed ? { ...fields, suppressed: last.suppressed } : fields, message);
  };
  return { info: limited('info'), warn: limited('warn'), error: limited('error') };
}

/** A URL in a text loses its user, password and query: any of them may be a key. */
export function scrub(text: string): string {
  return text.replace(/:\/\/[^\s"'<>]+/g, (rest) =>
    rest.replace(/^:\/\/.*@/, '://***@').replace(/\?.*/, '?***'),
  );
}

/** pg's names; `code` is Node's, ioredis's, our own or an SQLSTATE. */
const KEPT = ['code', 'severity', 'routine', 'table', 'column', 'constraint'];

/** What may be logged of an error. */
export function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return scrub(String(error));
  const described: Record<string, unknown> = { name: error.name, message: scrub(error.message) };
  for (const key of KEPT) {
    const value: unknown = Reflect.get(error, key);
    if (typeof value === 'string') described[key] = scrub(value);
  }
  // Connecting to a host with several addresses fails with an AggregateError that says nothing itself.
  if (error instanceof AggregateError && depth < 3) {
    described['errors'] = error.errors.slice(0, 5).map((one) => describeError(one, depth + 1));
  }
  if (error.cause !== undefined && depth < 3) {
    described['cause'] = describeError(error.cause, depth + 1);
  }
  // A mistake in the code, not in the world: where? Frames hold no values.
  if (error instanceof TypeError || error instanceof ReferenceError) {
    described['stack'] = error.stack?.match(/^ {4}at .*$/gm)?.slice(0, 10);
  }
  return described;
}

function withSafeErrors(fields: Record<string, unknown>): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    safe[key] = value instanceof Error ? describeError(value) : scrubbed(value);
  }
  return safe;
}

function scrubbed(value: unknown): unknown {
  return typeof value === 'string' && value.includes('://') ? scrub(value) : value;
}

/** Without a message pino would take the error's own, as it is. */
function withMessage(this: Logger, args: Parameters<LogFn>, log: LogFn): void {
  const [first, message, ...rest] = args;
  const fields = first instanceof Error ? { err: first } : (first as { err?: unknown } | null);
  if (message === undefined && fields?.err instanceof Error) {
    log.call(this, fields, scrub(fields.err.message), ...rest);
  } else {
    log.apply(this, args);
  }
}
