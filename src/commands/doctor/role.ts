/** What the daemon's role in PostgreSQL may do: enough, and not too much. */
import type { Client } from 'pg';
import { findDifferences } from '../../schema/verify.ts';
import { type Finding, ok, problem, warning } from './check.ts';

export interface RoleRow {
  readonly role: string;
  readonly superuser: boolean;
  /** Owner of the tables, or a member of it. */
  readonly owner: boolean;
  /** May make other roles or databases. */
  readonly administrator: boolean;
  /** Staging tables are temporary. */
  readonly temporary: boolean;
  /** Tables for the mirror that are there and may not be read. */
  readonly unreadable: readonly string[];
  readonly missing: readonly string[];
}

const ROLE = `
  SELECT current_user AS role, rolsuper AS superuser, rolcreaterole OR rolcreatedb AS administrator,
         coalesce((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('trades')), false) AS owner,
         has_database_privilege(current_database(), 'TEMPORARY') AS temporary,
         ARRAY(SELECT name FROM unnest('{strategies,risk_limits,user_sessions}'::text[]) AS name
                WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), 'SELECT')) AS unreadable
    FROM pg_roles WHERE rolname = current_user`;

export async function readRole(client: Client): Promise<RoleRow> {
  const { rows } = await client.query<Omit<RoleRow, 'missing'>>(ROLE);
  const differences = await findDifferences(client);
  const missing = differences.filter((line) => line.includes(' may not '));
  return { ...(rows[0] as Omit<RoleRow, 'missing'>), missing };
}

export function judgeRole(
  row: RoleRow,
  { mirrored, separateOwner }: { mirrored: boolean; separateOwner: boolean },
): Finding[] {
  const { role, superuser, administrator, owner, temporary, unreadable, missing } = row;
  const findings: Finding[] = [];
  const grant = `GRANT hyperfeed_writer TO "${role}"`;
  for (const line of missing) findings.push(problem(line, grant));
  if (!temporary) {
    findings.push(problem(`"${role}" may not make temporary tables, where duplicates go`, grant));
  }
  if (mirrored && unreadable.length > 0) {
    findings.push(
      problem(
        `"${role}" may not read ${unreadable.join(', ')}, which are mirrored into Redis`,
        `${grant}, or mirror.enabled: false`,
      ),
    );
  }
  const least =
    'give the daemon a role that is only a member of hyperfeed_writer in database.url, and another one, of hyperfeed_owner, in database.ownerUrl';
  if (superuser) {
    findings.push(warning(`"${role}" is a superuser: more than the daemon needs`, least));
  } else if (administrator) {
    findings.push(warning(`"${role}" may make roles or databases: more than is needed`, least));
  } else if (owner && separateOwner) {
    findings.push(warning(`"${role}" owns the tables, although database.ownerUrl is set`, least));
  }
  if (findings.length > 0) return findings;
  return [ok(`"${role}" may do what the daemon needs${owner ? ', and owns the tables' : ''}`)];
}
