/**
 * Health over HTTP: read-only, without bodies, small. Nothing here waits for anything but memory.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { codeOf, HyperfeedError } from './errors.ts';
import type { Health } from './health.ts';
import { CHALLENGE, createTokenCheck } from './http-token.ts';
import type { Service } from './lifecycle.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface HttpServer extends Service {
  /** Undefined while it does not listen. */
  address(): AddressInfo | undefined;
}

export interface Answer {
  readonly status: number;
  readonly type?: string;
  readonly body?: string | Buffer;
  /** Besides ours, or instead of them. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Undefined: the route keeps the response, and ends it. */
export type Route = (
  request: IncomingMessage,
  response: ServerResponse,
) => Promise<Answer | undefined>;

/** More paths, instead of ours where they are the same. */
export interface Pages {
  readonly routes: Readonly<Record<string, Route>>;
  /** Ends at once the responses that its routes keep. */
  close(): void;
}

const INDEX = `hyperfeed

/livez    does the process turn
/readyz   does it do its work
/health   JSON with reasons; Prometheus text to a client that asks for it
/metrics  Prometheus text
/status   JSON of every part
`;

/** For whoever starts and stops the container: they carry no secrets, and say nothing but yes or no. */
const OPEN = new Set(['/livez', '/readyz']);

export function createHttpServer(options: {
  readonly health: Health;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly host: string;
  readonly port: number;
  readonly pages?: Pages | undefined;
  /** Asked of everybody, but for OPEN. */
  readonly token?: string | undefined;
}): HttpServer {
  const { health, metrics, logger, host, port, pages } = options;
  const isAllowed = createTokenCheck(options.token);
  const server = createServer(
    {
      maxHeaderSize: 8 * 1024,
      requestTimeout: 5_000,
      headersTimeout: 5_000,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => void answer(request, response),
  );
  server.maxConnections = 64;

  const routes: Readonly<Record<string, Route>> = {
    '/': async () => text(200, INDEX),
    '/livez': async () => (health.isLive() ? text(200, 'ok\n') : text(503, 'event loop stuck\n')),
    '/readyz': async () => {
      const readiness = health.readiness();
      return json(readiness.ready ? 200 : 503, readiness);
    },
    '/health': async ({ headers }) => {
      // A scrape is answered whatever the state is: that is when the metrics matter most.
      if (prefersMetrics(headers.accept)) return scrape();
      const summary = health.summary();
      return json(summary.status === 'failing' ? 503 : 200, summary);
    },
    '/metrics': scrape,
    '/status': async () => json(200, health.status()),
    ...pages?.routes,
  };

  async function scrape(): Promise<Answer> {
    // Sets the gauge of the same name.
    health.summary();
    return {
      status: 200,
      type: metrics.registry.contentType,
      body: await metrics.registry.metrics(),
    };
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const answered = await route(request, response);
      if (answered) send(request, response, answered);
    } catch (error) {
      logger.error({ err: error }, 'request failed');
      if (response.headersSent) response.destroy();
      else send(request, response, text(500, 'internal error\n'));
    }
  }

  async function route(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<Answer | undefined> {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD');
      return text(405, 'only GET and HEAD\n');
    }
    if (hasBody(request)) return text(413, 'no body, please\n');
    const path = request.url?.split('?', 1)[0] ?? '';
    if (!OPEN.has(path) && !isAllowed(request.headers.authorization)) {
      return { ...text(401, 'a token, please\n'), headers: { 'WWW-Authenticate': CHALLENGE } };
    }
    return Object.hasOwn(routes, path)
      ? routes[path]!(request, response)
      : text(404, 'not found\n');
  }

  return {
    name: 'http',
    async start() {
      const listening = Promise.withResolvers<void>();
      server.once('listening', listening.resolve);
      server.once('error', (error) => listening.reject(cannotListen(error, host, port)));
      server.listen({ host, port });
      await listening.promise;
      server.on('error', (error) => logger.error({ err: error }, 'http server error'));
      logger.info({ ...this.address() }, 'http server listening');
    },
    async stop(deadline) {
      pages?.close();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeIdleConnections();
      const cut = () => server.closeAllConnections();
      deadline.addEventListener('abort', cut);
      if (deadline.aborted) cut();
      await closed.promise;
      deadline.removeEventListener('abort', cut);
      health.close();
    },
    address() {
      const address = server.address();
      return address === null || typeof address === 'string' ? undefined : address;
    },
  };
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function json(status: number, value: unknown): Answer {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(value)}\n` };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  const { status, type, body = '', headers } = answer;
  response.writeHead(status, {
    ...(type === undefined ? {} : { 'Content-Type': type }),
    // 304 has no body, and says nothing of the length of the one that is not sent.
    ...(status === 304 ? {} : { 'Content-Length': Buffer.byteLength(body) }),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
    // A body is not read; so the next request cannot be found behind it.
    ...(hasBody(request) ? { Connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

/** True for Prometheus, false for browsers, curl and whoever wants JSON. */
function prefersMetrics(accept = ''): boolean {
  const [first] = accept
    .split(',')
    .map((entry) => {
      const [type = '', ...parameters] = entry.split(';').map((part) => part.trim());
      const quality = parameters.find((one) => one.startsWith('q='))?.slice(2);
      return { type: type.toLowerCase(), quality: Number(quality ?? 1) };
    })
    .toSorted((a, b) => b.quality - a.quality);
  return first?.type === 'application/openmetrics-text' || first?.type === 'text/plain';
}

function cannotListen(error: Error, host: string, port: number): HyperfeedError {
  const why =
    codeOf(error) === 'EADDRINUSE'
      ? 'is taken by another process; choose another http.port (HYPERFEED__HTTP__PORT), or 0 for any'
      : `cannot be listened on (${codeOf(error) ?? error.message}); see http.host and http.port`;
  return new HyperfeedError('http_listen', `port ${port} of ${host} ${why}`, { cause: error });
}
