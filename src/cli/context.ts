/** What a command is given in place of `process`. */
export interface Context {
  readonly env: NodeJS.ProcessEnv;
  /** `v24.21.0` */
  readonly nodeVersion: string;
  /** SIGINT, SIGTERM or SIGHUP: end well, and soon. */
  readonly signal: AbortSignal;
  /** People read the standard output: lines may be rewritten. */
  readonly isTerminal: boolean;
  /** The same of the standard error. */
  readonly isErrorTerminal: boolean;
  /** To the standard output. */
  readonly write: (text: string) => void;
  /** As `write`; waits while a slow reader catches up. */
  readonly writeAll: (text: string) => Promise<void>;
  /** To the standard error. */
  readonly warn: (text: string) => void;
  readonly exitWith: (code: number) => void;
}
