/** Several hosts in one URL: each is asked, although the daemon needs only the one that takes writes. */
import type { Config } from '../../config.ts';
import { reasonOf } from '../../errors.ts';
import { type Logger, scrub } from '../../log.ts';
import { urlsByHost } from '../../postgres-hosts.ts';
import { withClient } from '../../schema/connect.ts';
import { clientConfig } from '../../writers/pg.ts';
import { type Check, type Finding, ok, problem, warning } from './check.ts';

/** None where there is one host: the other checks tell of it. */
export function hostsCheck(database: Config['database'], logger: Logger): Check[] {
  const urls = urlsByHost(database.url ?? '');
  if (urls.length < 2) return [];
  const timeoutMs = database.connectTimeoutMs + database.statementTimeoutMs;
  const todo = 'are they up, and reachable from here?';
  return [
    {
      name: 'database hosts',
      timeoutMs,
      todo,
      async run(signal) {
        const hosts = await Promise.all(
          urls.map(async (url): Promise<{ finding: Finding; primary: boolean }> => {
            const session = {
              clientConfig: clientConfig({ ...database, url }, NAME),
              logger,
              signal,
            };
            try {
              const primary = await withClient(session, async (client) => {
                const { rows } = await client.query<{ standby: boolean }>(STANDBY);
                return rows[0]?.standby === false;
              });
              return {
                finding: ok(`${scrub(url)}: ${primary ? 'takes writes' : 'a standby'}`),
                primary,
              };
            } catch (error) {
              return {
                finding: warning(`${scrub(url)}: ${scrub(reasonOf(error))}`, todo),
                primary: false,
              };
            }
          }),
        );
        const primaries = hosts.filter(({ primary }) => primary).length;
        const findings = hosts.map(({ finding }) => finding);
        if (primaries < 2) return findings;
        return [
          ...findings,
          problem(
            `${primaries} of them take writes: rows would go to either`,
            'only one may be a primary: stop the other, or make it a standby',
          ),
        ];
      },
    },
  ];
}

const NAME = 'hyperfeed doctor';
const STANDBY = 'SELECT pg_is_in_recovery() AS standby';
