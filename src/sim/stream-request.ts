/** What a client may send on a stream connection, and what the exchange answers. Pure. */

export const MAX_STREAMS = 1024;

type RequestId = number | string | null;

export type StreamRequest =
  | {
      readonly kind: 'subscribe' | 'unsubscribe';
      readonly id: RequestId;
      readonly streams: string[];
    }
  | { readonly kind: 'list'; readonly id: RequestId }
  | { readonly kind: 'invalid'; readonly answer: string };

const METHODS = ['SUBSCRIBE', 'UNSUBSCRIBE', 'LIST_SUBSCRIPTIONS'];
/** Well-formed, whether there is such a stream or not: the exchange accepts any of these in silence. */
const STREAM_NAME = /^[^\s@/]*@?[^\s@/]+(@[^\s@/]+)*$/u;

export function parseStreamRequest(text: string): StreamRequest {
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    return refuse(3, 'Invalid JSON: expected value at line 1 column 1', null);
  }
  if (typeof request !== 'object' || request === null || Array.isArray(request)) {
    return refuse(2, 'Invalid request: request must be an object', null);
  }
  const { id = null, method, params } = request as Record<string, unknown>;
  if (!isRequestId(id)) {
    return refuse(2, 'Invalid request: request ID must be an integer or a string', null);
  }
  if (typeof method !== 'string') return refuse(2, 'Invalid request: missing field `method`', id);
  if (!METHODS.includes(method)) {
    const expected = METHODS.map((name) => `\`${name}\``).join(', ');
    const problem = `unknown variant \`${method}\`, expected one of ${expected}`;
    return refuse(2, `Invalid request: ${problem}`, id);
  }
  if (method === 'LIST_SUBSCRIPTIONS') return { kind: 'list', id };
  if (!Array.isArray(params) || params.length === 0) {
    return refuse(2, 'Invalid request: missing field `params`', id);
  }
  if (!params.every((name): name is string => typeof name === 'string' && STREAM_NAME.test(name))) {
    return refuse(2, 'Invalid request: malformed stream name', id);
  }
  return { kind: method === 'SUBSCRIBE' ? 'subscribe' : 'unsubscribe', id, streams: params };
}

export function resultText(result: readonly string[] | null, id: RequestId): string {
  return JSON.stringify({ result, id });
}

export function errorText(code: number, msg: string, id: RequestId): string {
  return JSON.stringify({ code, msg, id });
}

function refuse(code: number, msg: string, id: RequestId): StreamRequest {
  return { kind: 'invalid', answer: errorText(code, msg, id) };
}

function isRequestId(id: unknown): id is RequestId {
  if (typeof id === 'string') return /^[A-Za-z0-9_-]{1,36}$/.test(id);
  return id === null || Number.isInteger(id);
}
