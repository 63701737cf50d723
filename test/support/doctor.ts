/** `hyperfeed doctor` as a test asks for it, and what a daemon needs. */
import { randomBytes } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import { environmentOf, runHyperfeed, type Settings, simulate, temporaryFolder } from './daemon.ts';
import { createMigrated } from './schema.ts';
import { redisDatabase, type TestDatabase } from './stack.ts';

interface Checked {
  readonly check: string;
  readonly level: string;
  readonly what: string;
  readonly todo?: string;
}

export async function examine(settings: Settings) {
  const { code, stdout, stderr } = await runHyperfeed(['doctor', '--json'], {
    env: environmentOf(settings),
  });
  expect(stderr).toEqual([]);
  const { checks } = JSON.parse(stdout.join()) as { checks: Checked[] };
  for (const { level, todo } of checks) {
    // What is not well comes with what to do.
    expect(Boolean(todo)).toBe(level === 'warning' || level === 'problem');
  }
  const of = (check: string) => checks.filter((one) => one.check === check);
  return { code, checks, of, one: (check: string) => of(check)[0] };
}

export const said = (level: string, what: RegExp) =>
  expect.objectContaining({ level, what: expect.stringMatching(what) as string }) as Checked;

/** Everything that a daemon needs, but for what a test changes. */
export async function surroundings(database?: TestDatabase) {
  const simulation = await simulate();
  const migrated = database ?? (await migratedDatabase());
  const settings = {
    ...simulation.settings,
    'database.url': migrated.url,
    'redis.url': await redisDatabase(),
    'spool.directory': await temporaryFolder(),
  };
  return { simulation, database: migrated, settings };
}

export async function migratedDatabase(timescale = true): Promise<TestDatabase> {
  const database = await createMigrated(timescale);
  onTestFinished(() => database.drop());
  return database;
}

/** A role of its own that may log in; its URL. */
export async function login(database: TestDatabase, group?: string): Promise<string> {
  const role = `doctor_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(8).toString('hex');
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`);
  if (group !== undefined) await database.query(`GRANT ${group} TO ${role}`);
  onTestFinished(async () => {
    await database.query(`DROP OWNED BY ${role}`);
    await database.query(`DROP ROLE ${role}`);
  });
  const url = new URL(database.url);
  url.username = role;
  url.password = password;
  return url.href;
}
