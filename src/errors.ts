/** Errors that carry a code. What to do about a code is decided in one place, not by matching texts. */

export class HyperfeedError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The user's configuration or command line is wrong: exit code 2. */
export class UsageError extends HyperfeedError {}

/** A frame or an answer of an exchange that cannot be trusted. */
export class DecodeError extends HyperfeedError {}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What went wrong in the end: the errors of fetch and of a host with several addresses do not say. */
export function reasonOf(error: unknown): string {
  // Our own words say more than what is behind them.
  if (error instanceof HyperfeedError) return error.message;
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (error instanceof Error && error.cause instanceof Error) return reasonOf(error.cause);
  return messageOf(error) || (codeOf(error) ?? 'failed');
}

/** The code of anything thrown: Node's, PostgreSQL's SQLSTATE or our own. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}
