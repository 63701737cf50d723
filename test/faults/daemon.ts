/** A life of the daemon: `hyperfeed run` as a process of its own, from its start to its end. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { envName } from '../../src/config-load.ts';
import { startProcess } from './processes.ts';
import { until, type World } from './world.ts';

export type Settings = Readonly<Record<string, string | number | boolean | readonly string[]>>;
export type Life = ReturnType<typeof startLife>;

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** Secrets that must be seen nowhere. */
export const CANARIES = {
  database: 'canary-of-the-database',
  redis: 'canary-of-redis',
  token: 'canary-of-the-http-server',
} as const;

/** `source`: the folder of the project, or of a mutated copy of it. */
export function startLife(
  world: World,
  source: string,
  settings: Settings,
  environment: Readonly<Record<string, string>> = {},
) {
  const env = Object.fromEntries(
    Object.entries(settings).map(([key, value]) => [envName(key.split('.')), String(value)]),
  );
  const child = startProcess(world, process.execPath, [join(source, 'bin/hyperfeed.js'), 'run'], {
    cwd: source,
    env: { ...env, ...environment },
  });
  const parsed: LogLine[] = [];

  function log(): readonly LogLine[] {
    for (const line of child.lines.slice(parsed.length)) parsed.push(lineOf(line));
    return parsed;
  }

  const logged = (msg: string) => log().find((line) => line.msg === msg);

  async function says(msg: string, timeoutMs = 60_000): Promise<LogLine> {
    return until(
      `the daemon to say ${msg}`,
      () => {
        const line = logged(msg);
        if (!line && child.hasEnded()) throw new Error(`it ended: ${tail(child).join('\n')}`);
        return line;
      },
      { timeoutMs },
    ).catch((error: unknown) => {
      throw new Error(`${(error as Error).message}\n${tail(child).join('\n')}`, { cause: error });
    });
  }

  async function page(path: string): Promise<string> {
    const { port } = await says('http server listening');
    const headers = { authorization: `Bearer ${CANARIES.token}` };
    const signal = AbortSignal.timeout(10_000);
    const response = await fetch(`http://127.0.0.1:${String(port)}${path}`, { headers, signal });
    return response.text();
  }

  return {
    ...child,
    log,
    logged,
    says,
    page,
    /** Sum of the samples of a metric that have this label; undefined: there is none of that name. */
    async metric(name: string, label = ''): Promise<number | undefined> {
      const samples = (await page('/metrics'))
        .split('\n')
        .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
        .filter((line) => line.includes(label));
      if (samples.length === 0) return undefined;
      return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
    },
    async kill(): Promise<void> {
      child.signal('SIGKILL');
      const { signal } = await child.ended;
      if (signal !== 'SIGKILL') throw new Error(`it was to be killed: ${tail(child).join('\n')}`);
    },
    /** SIGTERM to exit 0. */
    async stop(): Promise<void> {
      child.signal('SIGTERM');
      const { code } = await child.ended;
      if (code !== 0) throw new Error(`SIGTERM ended with ${code}: ${tail(child).join('\n')}`);
    },
    /** What it says of itself anywhere. */
    async everythingSaid(): Promise<string> {
      const argv = await readFile(`/proc/${child.pid}/cmdline`, 'utf8').catch(() => '');
      return [...child.lines, ...child.errors, argv].join('\n');
    },
  };
}

function lineOf(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: 'none', msg: line };
  }
}

const tail = (child: { lines: readonly string[]; errors: readonly string[] }) =>
  [...child.lines, ...child.errors].slice(-15);
