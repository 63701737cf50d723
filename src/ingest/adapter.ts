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

/** A frame to send, and the request id whose acknowledgement is awaited. */
export interface SubscribeFrame {
  readonly id: string;
  readonly text: string;
  readonly streams: readonly StreamKey[];
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
}

/** A frame's whole meaning. One exhaustive switch in the source handles it. */
export type Decoded =
  | DecodedTrade
  | DecodedCandle
  | DecodedBook
  | { readonly kind: 'ack'; readonly id: string }
  | { readonly kind: 'refused'; readonly id: string | null; readonly reason: string }
  | { readonly kind: 'reply'; readonly text: string }
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

export interface BookSeed {
  /** Levels a side that are asked for, of a book of which `depth` are published. */
  levels(depth: number): number;
  request(venueSymbol: string, depth: number): RestRequest;
  /** Body of the answer -> a snapshot. Throws DecodeError. */
  parse(body: string, venueSymbol: string): DecodedBook;
}

export interface MarketList {
  readonly request: RestRequest;
  /** Body of the answer -> markets. Markets it cannot read are left out, not guessed. */
  parse(body: string): Instrument[];
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

/** How it is known that nothing is missing from a series. */
export type Provenance = 'sequence' | 'checksum' | 'ids' | 'none';

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
  open(): State;
  /** Frames that subscribe these streams, each within `limits.streamsPerFrame`. Harmless if repeated. */
  subscribe(streams: readonly StreamKey[], state: State): SubscribeFrame[];
  /** Oldest first. Unknown frames decode to nothing. Throws DecodeError on a frame it cannot trust. */
  decode(frame: string, state: State): readonly Decoded[];

  /** A frame to send every `everyMs` to keep the connection alive. */
  readonly heartbeat?: { readonly everyMs: number; readonly text: string };
  /** Sequence rule of the books of this exchange. */
  bookSequence?(bookLast: number, change: DecodedBook): SequenceVerdict;
  /** REST snapshot that the changes continue, where it does not come in band. */
  readonly bookSeed?: BookSeed;
  readonly markets?: MarketList;
}
