/** Connections that leave this machine without verified TLS, because the configuration lets them. */
import type { Config } from './config.ts';
import type { Logger } from './log.ts';
import { urlsByHost } from './postgres-hosts.ts';
import { parseRedisUrl } from './redis-url.ts';
import { checkExchangeUrl, checkInsecure } from './transport.ts';
import { postgresConnection } from './writers/tls.ts';

export interface ExposedLink {
  /** Not the address: it is known, and belongs in no log. */
  readonly setting: string;
  readonly how: 'plaintext' | 'unverified';
}

/** For a warning at each start. Throws UsageError `insecure_connection` for what is not let through. */
export function exposedLinks(
  config: Pick<Config, 'database'> & Partial<Pick<Config, 'redis' | 'connection'>>,
): ExposedLink[] {
  const { database, redis, connection } = config;
  const links: ExposedLink[] = [];
  for (const name of ['url', 'ownerUrl'] as const) {
    const url = database[name];
    if (!url) continue;
    const setting = `database.${name}` as const;
    const { allowInsecure } = database;
    const exposed = urlsByHost(url)
      .map((one) => postgresConnection(one, { key: setting, allowInsecure }).exposed)
      .find((how) => how !== false);
    if (exposed) links.push({ setting, how: exposed });
  }
  if (redis?.enabled && redis.url && checkRedisUrl(redis.url, redis.allowInsecure)) {
    links.push({ setting: 'redis.url', how: 'plaintext' });
  }
  for (const name of ['wsUrl', 'restUrl'] as const) {
    const url = connection?.[name];
    if (
      connection &&
      url &&
      checkExchangeUrl(url, `connection.${name}`, connection.allowInsecure)
    ) {
      links.push({ setting: `connection.${name}`, how: 'plaintext' });
    }
  }
  return links;
}

/** What a command or a daemon says first. */
export function warnOfExposed(config: Parameters<typeof exposedLinks>[0], logger: Logger): void {
  for (const link of exposedLinks(config)) {
    logger.warn(
      link,
      'connection to another machine without verified TLS, as allowInsecure has it',
    );
  }
}

function checkRedisUrl(url: string, allowInsecure: boolean): boolean {
  const { tls, hosts } = parseRedisUrl(url);
  const link = { key: 'redis.url', hosts: hosts.map(({ host }) => host), allowInsecure };
  return !tls && checkInsecure(link, 'plaintext', 'rediss://');
}
