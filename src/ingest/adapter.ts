/**
 * The exchange seam. An adapter is pure: no clock, no socket, no log, no module state. A recorded
 * frame is all that a test of it needs. What spans frames lives in `State`, which the source makes
 * anew for each connection.
 */
import type { Channel, Decimal, Instrument, Level, Micros, Side } from './events.ts';

/** One stream of one market: what is subscribed, acknowledged, watched for silence. */
export interface StreamKey {
  readonly channel: Channel;
  readonly venueSymbol: string;
}

/** A frame to send, and what is awaited for it. */
export interface SubscribeFrame {
  readonly text: string;
  readonly streams: readonly StreamKey[];
  /**
   * Ids of the acknowledgements: one for the whole frame, or one a stream where the exchange answers
   * for each. A refused stream is given up; a refused frame ends the connection.
   */
  readonly awaits: readonly string[];
}

/** A WebSocket to open, relative to the base URL, and what to ask for on it. */
export interface Endpoint {
  readonly path: string;
  readonly streams: readonly StreamKey[];
}

export interface DecodedTrade {
  readonly kind: 'trade';
  readonly venueSymbol: string;
  readonly tradeId: string;
  readonly side: Side;
  readonly price: Decimal;
  readonly quantity: Decimal;
  readonly time: Micros;
  /** Backlog that the exchange sends on subscribing, not a new trade. */
  readonly backlog?: true;
}

export interface DecodedCandle {
  readonly kind: 'candle';
  readonly venueSymbol: string;
  /** Open time. */
  readonly time: Micros;
  readonly open: Decimal;
  readonly high: Decimal;
  readonly low: Decimal;
  readonly close: Decimal;
  readonly volume: Decimal;
  readonly trades: number | null;
  readonly closed: boolean;
}

/** A change of a book, or with `snapshot` the whole of it. Amount "0" (any number of zeros) deletes. */
export interface DecodedBook {
  readonly kind: 'book';
  readonly venueSymbol: string;
  readonly snapshot: boolean;
  /** First and last sequence number that this change covers; for a snapshot the last one. */
  readonly first: number;
  readonly last: number;
  /** Where the exchange chains changes: the sequence number that this one follows. */
  readonly previous?: number;
  /** Exchange time; null where a snapshot carries none. */
  readonly time: Micros | null;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
  readonly checksum?: number;
  /** Of a snapshot: `BookRules.window`, where the subscription says it and not our settings. */
  readonly window?: number;
}

/** A frame's whole meaning. One exhaustive switch in the source handles it. */
export type Decoded =
  | DecodedTrade
  | DecodedCandle
  | DecodedBook
  | { readonly kind: 'ack'; readonly id: string }
  | { readonly kind: 'refused'; readonly id: string | null; readonly reason: string }
  | { readonly kind: 'reply'; readonly text: string }
  /** A change was lost, of this book or (null) of any on the connection: it waits for a snapshot. */
  | { readonly kind: 'gap'; readonly venueSymbol: string | null; readonly reason: string }
  | { readonly kind: 'reconnect' };

/** What a book does with a change: continue, ignore what it has already, or start anew. */
export type SequenceVerdict = 'apply' | 'stale' | 'gap';

/** REST request relative to the exchange's REST base URL. */
export interface RestRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** Cost in the exchange's own rate budget. */
  readonly weight: number;
}

/** A snapshot by REST, which the changes continue. */
export interface BookSeed {
  /** Levels a side that are asked for, of a book of which `depth` are published. */
  levels(depth: number): number;
  request(venueSymbol: string, depth: number): RestRequest;
  /** Body of the answer -> a snapshot. Throws DecodeError. */
  parse(body: string, venueSymbol: string): DecodedBook;
}

/** What keeps an order book right. Without a seed, snapshots come in band on subscribing. */
export interface BookRules {
  /** How a change continues a book that stands at `bookLast`. Default: it always does. */
  sequence?(bookLast: number, change: DecodedBook): SequenceVerdict;
  /** Of the best levels after a change that carries a checksum. */
  readonly checksum?: {
    readonly levels: number;
    of(bids: readonly Level[], asks: readonly Level[]): number;
  };
  /** Levels a side that the exchange keeps up: what falls out of them gets no deletion. */
  window?(depth: number): number;
  readonly seed?: BookSeed;
}

/** REST history, read by the same normalizer as the socket: equal rows, to the digit. */
export interface History {
  readonly candles?: {
    /** Rows of one answer, at most. */
    readonly maxRows: number;
    /** Open times from..to, both included. */
    request(venueSymbol: string, from: Micros, to: Micros): RestRequest;
    /** Oldest first; `closed` false for a candle that may still change, if the answer tells. */
    parse(body: string, venueSymbol: string): DecodedCandle[];
    /** Whether a minute without trades has a row here; that is then what is stored. */
    readonly emptyMinutes: 'present' | 'absent';
  };
  /** Exchanges whose trades can be asked for by id. */
  readonly trades?: {
    readonly maxRows: number;
    /** From this id on, itself included; near the newest the answer may begin before it. */
    request(venueSymbol: string, fromId: string): RestRequest;
    /** The newest one. */
    newest(venueSymbol: string): RestRequest;
    /** Oldest first. */
    parse(body: string, venueSymbol: string): DecodedTrade[];
  };
}

export interface MarketList {
  /** Several where the exchange lists its kinds of markets apart; all of them make the list. */
  readonly requests: readonly RestRequest[];
  /** Body of an answer -> markets. Markets it cannot read are left out, not guessed. */
  parse(body: string): Instrument[];
  /** Where lists come in pages: the request for the page after this answer, null after the last. */
  next?(body: string): RestRequest | null;
}

export interface AdapterLimits {
  readonly streamsPerConnection: number;
  readonly messagesPerSecond: number;
  /** Streams named in one subscribe frame. */
  readonly streamsPerFrame: number;
  readonly connectionsPer5Minutes: number;
  /** A connection is replaced before this age. */
  readonly connectionMaxAgeMs: number;
  readonly restWeightPerMinute: number;
}

/** How it is known that nothing is missing from a series; `ccxt`: that library knows, or does not. */
export type Provenance = 'sequence' | 'checksum' | 'ids' | 'none' | 'ccxt';

/** What a connection is for, as far as adapters need to know. */
export interface SessionSettings {
  /** Levels a side of an order book that are published. */
  readonly bookDepth: number;
}

export interface WsAdapter<State = unknown> {
  readonly id: string;
  /** Base URLs, overridable in the configuration. */
  readonly urls: { readonly ws: string; readonly rest: string };
  /** Channels on offer, and how the completeness of each is known. */
  readonly channels: Readonly<Partial<Record<Channel, Provenance>>>;
  readonly limits: AdapterLimits;
  /** `perMessageDeflate` only where an exchange insists. */
  readonly transport?: { readonly perMessageDeflate?: boolean; readonly maxPayloadBytes?: number };

  /** Name of a market while the market list cannot be had. */
  venueSymbol(base: string, quote: string, settle?: string): string;
  /** Splits the streams over endpoints; the source shards each by `streamsPerConnection`. */
  endpoints(streams: readonly StreamKey[]): Endpoint[];
  /** Fresh state for one connection. */
  open(options: SessionSettings): State;
  /** Frames that subscribe these streams, each within `limits.streamsPerFrame`. Harmless if repeated. */
  subscribe(streams: readonly StreamKey[], state: State): SubscribeFrame[];
  /** Awaits nothing; needed where books are resynchronized by subscribing anew. */
  unsubscribe?(streams: readonly StreamKey[], state: State): string[];
  /** Oldest first. Unknown frames decode to nothing. Throws DecodeError on a frame it cannot trust. */
  decode(frame: string, state: State): readonly Decoded[];

  /** A frame to send every `everyMs` to keep the connection alive. */
  readonly heartbeat?: { readonly everyMs: number; readonly text: string };
  readonly book?: BookRules;
  /**
   * How a closed candle is known: by a flag, by the next one's opening (then verified by REST), or
   * it is made of the trades because there is no candle channel (then verified by REST).
   */
  readonly candleClose: 'flag' | 'next-open' | 'trades';
  readonly markets?: MarketList;
  readonly history?: History;
}
