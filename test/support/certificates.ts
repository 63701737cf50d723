/** An authority of our own and the certificates that it gives out, made by openssl. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { run } from '../../src/embedded/run.ts';
import { createThrowawayFolder } from '../../src/embedded/throwaway.ts';

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Authority {
  /** What clients trust. */
  readonly caFile: string;
  /** Signed by nobody else. */
  readonly selfSigned: Certificate;
  /** A valid certificate for these names or addresses. */
  issue(options: {
    readonly name: string;
    /** DNS:localhost, IP:127.0.0.1 */
    readonly for: string;
    /** It ended yesterday. */
    readonly expired?: boolean;
  }): Promise<Certificate>;
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export async function createAuthority(): Promise<Authority> {
  const folder = await createThrowawayFolder();
  onTestFinished(() => folder.remove());
  const at = (file: string) => join(folder.path, file);
  const openssl = (...args: string[]) => run(['openssl', ...args]);
  const [caFile, caKey] = [at('ca.pem'), at('ca.key')];
  await openssl('req', '-x509', ...EC, '-subj', '/CN=test', '-keyout', caKey, '-out', caFile);
  await chmod(folder.path, 0o755);
  await chmod(caFile, 0o644);
  await chmod(caKey, 0o644);

  return {
    caFile,
    selfSigned: { certFile: caFile, keyFile: caKey },
    async issue({ name, for: names, expired = false }) {
      const [request, extensions] = [at(`${name}.csr`), at(`${name}.cnf`)];
      const [certFile, keyFile] = [at(`${name}.pem`), at(`${name}.key`)];
      await writeFile(extensions, `subjectAltName=${names}\n`);
      await openssl('req', ...EC, '-subj', `/CN=${name}`, '-keyout', keyFile, '-out', request);
      const signed = ['-CA', caFile, '-CAkey', caKey, '-CAcreateserial', '-extfile', extensions];
      const days = expired ? '-1' : '30';
      await openssl('x509', '-req', '-in', request, ...signed, '-days', days, '-out', certFile);
      // Servers may run as another user; the folder goes with the test.
      await chmod(certFile, 0o644);
      await chmod(keyFile, 0o644);
      return { certFile, keyFile };
    },
  };
}
