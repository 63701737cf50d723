/** A reader of server-sent events that keeps what it was told. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { onTestFinished } from 'vitest';
import { waitFor } from './stack.ts';

export interface Told {
  readonly event: string;
  // JSON as the page reads it.
  readonly data: Record<string, never>;
}

/** Resolves with the head of the answer. The connection is cut when the test ends, if not before. */
export async function openEvents(url: string) {
  const asking: ClientRequest = request(url, { agent: false });
  const answered = Promise.withResolvers<IncomingMessage>();
  asking.once('response', answered.resolve);
  asking.once('error', answered.reject);
  asking.end();
  onTestFinished(() => void asking.destroy());
  const response = await answered.promise;
  const told: Told[] = [];
  let rest = '';
  let hasEnded = false;
  response.setEncoding('utf8');
  response.on('data', (text: string) => {
    const messages = (rest + text).split('\n\n');
    rest = messages.pop() ?? '';
    for (const message of messages) {
      const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(message) ?? [];
      if (event && data) told.push({ event, data: JSON.parse(data) as Told['data'] });
    }
  });
  response.once('close', () => (hasEnded = true));
  response.on('error', () => undefined);
  return {
    status: response.statusCode,
    headers: response.headers,
    told,
    /** The whole answer came, or it was cut. */
    ended: () => waitFor(() => hasEnded, { what: 'the stream to end' }),
    isComplete: () => response.complete,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    close: () => void asking.destroy(),
    /** The first message of this kind, of those to come too, that passes. */
    next: <T>(event: string, passes: (data: T) => unknown = () => true, timeoutMs = 10_000) =>
      waitFor(
        () =>
          told.find((one) => one.event === event && passes(one.data as T))?.data as T | undefined,
        { what: `an event ${event}`, timeoutMs },
      ),
  };
}
