/**
 * OKX's streams: requests, payloads, the rules that books follow. The evidence is in okx.ts.
 */
import type {
  Decoded,
  DecodedBook,
  DecodedCandle,
  Endpoint,
  SequenceVerdict,
  StreamKey,
  SubscribeFrame,
} from '../adapter.ts';
import type { Channel, Level } from '../events.ts';
import * as sent from '../trade-pattern.ts';
import {
  array,
  crc32,
  decimal,
  epochMicros,
  idText,
  integer,
  integerText,
  levels,
  object,
  parseObject,
  positiveDecimal,
  type Row,
  said,
  shortText,
  side,
} from '../wire.ts';

/** The channel that each book is kept from, the first that sent one: several would mix. */
export type State = Map<string, unknown>;

/** Candles have moved to a socket of their own, where there is nothing else of ours. */
export function endpoints(streams: readonly StreamKey[]): Endpoint[] {
  const isCandle = ({ channel }: StreamKey) => channel === 'candles';
  return [
    { path: '/ws/v5/public', streams: streams.filter((stream) => !isCandle(stream)) },
    { path: '/ws/v5/business', streams: streams.filter(isCandle) },
  ].filter((endpoint) => endpoint.streams.length > 0);
}

const STREAM_OF: Record<Channel, string> = {
  trades: 'trades',
  candles: 'candle1m',
  order_book: 'books',
};

export function requests(
  op: string,
  streams: readonly StreamKey[],
  size: number,
): SubscribeFrame[] {
  const frames: SubscribeFrame[] = [];
  for (let i = 0; i < streams.length; i += size) {
    const some = streams.slice(i, i + size);
    const args = some.map((s) => ({ channel: STREAM_OF[s.channel], instId: s.venueSymbol }));
    const awaits = args.map(({ channel, instId }) => `${channel} ${instId}`);
    frames.push({ text: JSON.stringify({ op, args }), streams: some, awaits });
  }
  return frames;
}

const TRADES = {
  arg: sent.members({ channel: '"trades(?:-all)?"' }),
  data: sent.LIST,
};
/** Members that decide what a frame is, before its channel does. */
const ABSENT = ['event'];
const tradesAsSent = sent.tradePattern({
  before: sent.openMembers(TRADES, ABSENT),
  row: sent.members({
    instId: sent.text('venueSymbol'),
    tradeId: sent.integerText('tradeId'),
    px: sent.decimalText('price'),
    sz: sent.decimalText('quantity'),
    side: sent.eitherOf('side', '"buy"', '"sell"'),
    ts: sent.integerText('time'),
  }),
  after: sent.LIST_END + sent.closeMembers(TRADES, ABSENT),
  buy: '"buy"',
  micros: (time) => epochMicros(Number(time), 'ts'),
});

export function decodeFrame(frame: string, state: State): readonly Decoded[] {
  const trades = tradesAsSent(frame);
  if (trades) return trades;
  if (frame === 'pong') return [];
  const message = parseObject<Row>(frame);
  if (message.event !== undefined) return answer(message);
  if (message.arg === undefined) return [];
  const { channel, instId } = object(message.arg, 'arg');
  const rows = () => array(message.data, 'data');
  switch (channel) {
    case 'trades':
    case 'trades-all':
      return rows().map(trade);
    case 'candle1m':
      return rows().map((row) => candle(row, shortText(instId, 'instId')));
    case 'books':
    case 'books-l2-tbt':
    case 'books50-l2-tbt':
    case 'books5': {
      const venueSymbol = shortText(instId, 'instId');
      if (!state.has(venueSymbol)) state.set(venueSymbol, channel);
      if (state.get(venueSymbol) !== channel) return [];
      const snapshot = channel === 'books5' || message.action === 'snapshot';
      return rows().map((row) => book(object(row, 'data'), venueSymbol, snapshot));
    }
    default:
      return [];
  }
}

function trade(value: unknown): Decoded {
  const row = object(value, 'data');
  return {
    kind: 'trade',
    venueSymbol: shortText(row.instId, 'instId'),
    tradeId: idText(row.tradeId, 'tradeId'),
    side: side(row.side, 'side', { buy: 'buy', sell: 'sell' }),
    price: positiveDecimal(row.px, 'px'),
    quantity: positiveDecimal(row.sz, 'sz'),
    time: epochMicros(integerText(row.ts, 'ts'), 'ts'),
  };
}

/** `[time, open, high, low, close, volume, ..., confirm]`, of the socket and of REST. */
export function candle(value: unknown, venueSymbol: string): DecodedCandle {
  const row = array(value, 'data');
  return {
    kind: 'candle',
    venueSymbol,
    time: epochMicros(integerText(row[0], 'ts'), 'ts'),
    open: positiveDecimal(row[1], 'open'),
    high: positiveDecimal(row[2], 'high'),
    low: positiveDecimal(row[3], 'low'),
    close: positiveDecimal(row[4], 'close'),
    volume: decimal(row[5], 'volume'),
    trades: null,
    closed: row[8] === '1',
  };
}

function book(row: Row, venueSymbol: string, snapshot: boolean): DecodedBook {
  const { seqId, prevSeqId, checksum: crc } = row;
  const last = seqId === undefined ? 0 : integer(seqId, 'seqId');
  const chained = !snapshot && prevSeqId !== undefined;
  return {
    kind: 'book',
    venueSymbol,
    snapshot,
    first: last,
    last,
    ...(chained && { previous: integer(prevSeqId, 'prevSeqId') }),
    time: epochMicros(integerText(row.ts, 'ts'), 'ts'),
    bids: levels(row.bids, 'bids'),
    asks: levels(row.asks, 'asks'),
    // Signed; 0 is none.
    ...(!!crc && { checksum: unsigned(crc) }),
  };
}

/**
 * By identity alone: ids jump, and start anew at a lower one after maintenance. A change of nothing,
 * sent once a minute, follows and leads to the same id. One that leads to where the book is already
 * was sent twice.
 */
export function bookSequence(bookLast: number, { previous, last }: DecodedBook): SequenceVerdict {
  if (previous === undefined || previous === bookLast) return 'apply';
  return last === bookLast && previous < bookLast ? 'stale' : 'gap';
}

/** Sent as a signed number of 32 bits. */
function unsigned(crc: unknown): number {
  const isSigned = typeof crc === 'number' && crc < 0;
  return integer(isSigned ? crc + 2 ** 32 : crc, 'checksum');
}

/** `bid:amount:ask:amount:...` of the 25 best; the longer side goes on alone. */
export function checksum(bids: readonly Level[], asks: readonly Level[]): number {
  const ranks = Math.max(bids.length, asks.length);
  const levelsByRank = Array.from({ length: ranks }, (_, i) => [bids[i] ?? [], asks[i] ?? []]);
  return crc32(levelsByRank.flat(2).join(':'));
}

function answer({ event, arg, code, msg }: Row): readonly Decoded[] {
  switch (event) {
    case 'subscribe': {
      const { channel, instId } = object(arg, 'arg');
      return [{ kind: 'ack', id: `${said(channel)} ${said(instId)}` }];
    }
    case 'error': {
      // "channel:books,instId:XYZ-USDT doesn't exist": only the text says which of the frame.
      const [, channel, instId] = /channel:([\w-]+),\s*instId:([\w-]+)/.exec(said(msg)) ?? [];
      const id = channel === undefined ? null : `${channel} ${instId}`;
      return [{ kind: 'refused', id, reason: `${said(code)}: ${said(msg)}` }];
    }
    case 'notice':
      // 64008: the connection will be closed for an upgrade.
      return code === '64008' ? [{ kind: 'reconnect' }] : [];
    default:
      return [];
  }
}
