/**
 * The order books of one connection, kept from snapshots and changes.
 *
 *   waiting --snapshot fits--> in sync --gap, bad checksum, crossed--> waiting
 *
 * Only a book that is in sync is published. Where snapshots come by REST, changes are buffered until
 * one fits; and because those are limited in depth, a book whose price drifts towards the end of
 * what its snapshot held asks for another one, and stays in sync meanwhile. Where they come in band,
 * each replaces the book. Pure but for the callback that asks.
 */
import type { BookRules, DecodedBook, SequenceVerdict } from './adapter.ts';
import type { Decimal, Level, Micros } from './events.ts';
import { compareDecimals, isZero } from './wire.ts';

/** Changes kept while a snapshot is on its way: minutes of them. Beyond, the oldest go. */
const MAX_BUFFERED = 2_000;

export type BookOutcome =
  | {
      readonly kind: 'published';
      readonly bids: Level[];
      readonly asks: Level[];
      /** Null when neither the snapshot nor any change said. */
      readonly time: Micros | null;
    }
  | { readonly kind: 'buffered' | 'stale' }
  /** The book is not to be trusted any more, for this reason; it waits for a snapshot. */
  | { readonly kind: 'lost'; readonly reason: LossReason };

export type LossReason = 'sequence' | 'checksum' | 'crossed';

export interface OrderBooksOptions {
  /** Levels a side that are published. */
  readonly depth: number;
  readonly rules: BookRules;
  /** Called when a book needs a snapshot that does not come by itself; `apply` takes the answer. */
  readonly requestSnapshot: (venueSymbol: string, reason: 'waiting' | 'drift') => void;
}

export function createOrderBooks(options: OrderBooksOptions) {
  const books = new Map<string, OrderBook>();

  function bookOf(venueSymbol: string): OrderBook {
    let book = books.get(venueSymbol);
    if (!book) books.set(venueSymbol, (book = new OrderBook(options)));
    return book;
  }

  return {
    apply(change: DecodedBook): BookOutcome {
      const book = bookOf(change.venueSymbol);
      return change.snapshot ? book.seed(change) : book.change(change);
    },
    /** A change of this book was lost, it is not known which. */
    distrust: (venueSymbol: string): BookOutcome =>
      bookOf(venueSymbol).lose('sequence', venueSymbol),
    inSync(venueSymbol: string): boolean {
      return books.get(venueSymbol)?.inSync ?? false;
    },
    countInSync(): number {
      let count = 0;
      for (const book of books.values()) if (book.inSync) count++;
      return count;
    },
  };
}

class OrderBook {
  inSync = false;
  readonly #options: OrderBooksOptions;
  #window: number;
  readonly #snapshotLevels: number;
  readonly #bids = new BookSide(1);
  readonly #asks = new BookSide(-1);
  #last = 0;
  #time: Micros | null = null;
  #requested = false;
  /** Changes since the snapshot was asked for. */
  #buffer: DecodedBook[] = [];

  constructor(options: OrderBooksOptions) {
    this.#options = options;
    const { depth, rules } = options;
    this.#window = rules.window?.(depth) ?? Infinity;
    this.#snapshotLevels = rules.seed?.levels(depth) ?? Infinity;
  }

  change(change: DecodedBook): BookOutcome {
    if (!this.inSync) {
      // An in-band snapshot comes in its place among the changes: those before it are in it.
      if (!this.#options.rules.seed) return { kind: 'stale' };
      this.#keep(change);
      this.#request(change.venueSymbol, 'waiting');
      return { kind: 'buffered' };
    }
    switch (this.#continues(change)) {
      case 'stale':
        return { kind: 'stale' };
      case 'gap':
        return this.lose('sequence', change.venueSymbol, change);
      case 'apply':
        if (this.#requested) this.#keep(change);
        this.#apply(change);
        return this.#publish(change);
    }
  }

  seed(snapshot: DecodedBook): BookOutcome {
    this.#requested = false;
    const pending = this.#buffer.filter((change) => change.last > snapshot.last);
    if (this.#options.rules.seed && this.#isOutdated(snapshot, pending[0])) {
      this.#request(snapshot.venueSymbol, this.inSync ? 'drift' : 'waiting');
      return { kind: this.inSync ? 'stale' : 'buffered' };
    }
    this.#bids.reset(snapshot.bids, this.#snapshotLevels);
    this.#asks.reset(snapshot.asks, this.#snapshotLevels);
    this.#window = snapshot.window ?? this.#window;
    this.#last = snapshot.last;
    this.#time = snapshot.time ?? this.#buffer.at(-1)?.time ?? this.#time;
    this.#buffer = [];
    this.inSync = true;
    for (const change of pending) {
      if (this.#continues(change) === 'gap')
        return this.lose('sequence', change.venueSymbol, change);
      this.#apply(change);
    }
    return this.#publish(snapshot);
  }

  /** Whether a snapshot by REST is older than what is known of the changes. */
  #isOutdated(snapshot: DecodedBook, next: DecodedBook | undefined): boolean {
    if (!next) return this.inSync && snapshot.last < this.#last;
    return this.#options.rules.sequence?.(snapshot.last, next) === 'gap';
  }

  #continues(change: DecodedBook): SequenceVerdict {
    return this.#options.rules.sequence?.(this.#last, change) ?? 'apply';
  }

  #apply(change: DecodedBook): void {
    for (const level of change.bids) this.#bids.set(level);
    for (const level of change.asks) this.#asks.set(level);
    this.#bids.truncate(this.#window);
    this.#asks.truncate(this.#window);
    this.#last = change.last;
    this.#time = change.time ?? this.#time;
  }

  #publish(change: DecodedBook): BookOutcome {
    const { depth, rules } = this.#options;
    const bids = this.#bids.top(depth);
    const asks = this.#asks.top(depth);
    if (change.checksum !== undefined && rules.checksum) {
      const { levels } = rules.checksum;
      const actual = rules.checksum.of(this.#bids.top(levels), this.#asks.top(levels));
      if (actual !== change.checksum) return this.lose('checksum', change.venueSymbol, change);
    }
    if (this.#isCrossed(bids[0], asks[0])) return this.lose('crossed', change.venueSymbol, change);
    if (!this.#bids.covers(depth) || !this.#asks.covers(depth)) {
      this.#request(change.venueSymbol, 'drift');
    }
    return { kind: 'published', bids, asks, time: this.#time };
  }

  #isCrossed(bid: Level | undefined, ask: Level | undefined): boolean {
    if (!bid || !ask || this.#bids.bestPrice() < this.#asks.bestPrice()) return false;
    return compareDecimals(bid[0], ask[0]) >= 0;
  }

  /** `change`: what showed it, if that may continue the next snapshot. */
  lose(reason: LossReason, venueSymbol: string, change?: DecodedBook): BookOutcome {
    this.inSync = false;
    this.#buffer = !change || change.snapshot || !this.#options.rules.seed ? [] : [change];
    this.#requested = false;
    this.#request(venueSymbol, 'waiting');
    return { kind: 'lost', reason };
  }

  #keep(change: DecodedBook): void {
    if (this.#buffer.push(change) > MAX_BUFFERED) this.#buffer.shift();
  }

  #request(venueSymbol: string, reason: 'waiting' | 'drift'): void {
    if (this.#requested) return;
    this.#requested = true;
    this.#options.requestSnapshot(venueSymbol, reason);
  }
}

/**
 * One side, best last, because most changes are near the best: little has to move for them. `#keys`
 * are the prices as doubles, negated for asks: they find a place fast and are never given out; where
 * doubles tie, the digits decide. `#knownTo`: see `covers`.
 */
class BookSide {
  readonly #sign: 1 | -1;
  #keys: number[] = [];
  #levels: Level[] = [];
  #knownTo = -Infinity;

  constructor(sign: 1 | -1) {
    this.#sign = sign;
  }

  reset(levels: readonly Level[], limit = Infinity): void {
    this.#keys = [];
    this.#levels = [];
    // Best last: each is appended, where the side of an exchange is some 40,000 levels deep.
    const ordered = levels.map((level) => ({ key: this.#sign * +level[0], level }));
    ordered.sort((a, b) => a.key - b.key);
    for (const { level } of ordered) this.set(level);
    this.#knownTo = levels.length < limit ? -Infinity : (this.#keys[0] ?? -Infinity);
  }

  set(level: Level): void {
    const price = level[0];
    const key = this.#sign * +price;
    let at = this.#lowerBound(key);
    // Equal keys are nearly always the same text; else order the digits.
    let order = -1;
    while (this.#keys[at] === key) {
      order = this.#compare(this.#levels[at]?.[0] ?? '', price);
      if (order >= 0) break;
      at++;
    }
    const exists = order === 0;
    if (isZero(level[1])) {
      // Deleting a level that is not there is normal: it was beyond the snapshot.
      if (exists) {
        removeAt(this.#keys, at);
        removeAt(this.#levels, at);
      }
    } else if (exists) {
      this.#levels[at] = level;
    } else {
      insertAt(this.#keys, at, key);
      insertAt(this.#levels, at, level);
    }
  }

  /** Best first. */
  top(depth: number): Level[] {
    const levels = this.#levels;
    const best: Level[] = [];
    for (let i = levels.length - 1; i >= 0 && best.length < depth; i--) {
      const level = levels[i];
      if (level) best.push(level);
    }
    return best;
  }

  /** NaN where there is none. */
  bestPrice(): number {
    return this.#sign * (this.#keys[this.#keys.length - 1] ?? NaN);
  }

  truncate(window: number): void {
    const beyond = this.#levels.length - window;
    if (beyond <= 0) return;
    this.#keys.splice(0, beyond);
    this.#levels.splice(0, beyond);
  }

  /** Whether the best `depth` levels lie within what the snapshot showed, so that none is unknown. */
  covers(depth: number): boolean {
    if (this.#knownTo === -Infinity) return true;
    return (this.#keys[this.#keys.length - depth] ?? -Infinity) >= this.#knownTo;
  }

  #compare(a: Decimal, b: Decimal): number {
    return a === b ? 0 : this.#sign * compareDecimals(a, b);
  }

  #lowerBound(key: number): number {
    const keys = this.#keys;
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((keys[middle] ?? Infinity) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Beyond, moving memory as a whole is faster than moving its values one by one. */
const FEW = 64;

/** `splice` makes an array of what it removes: 50 ns more near the end. */
function insertAt<T>(list: T[], at: number, value: T): void {
  const last = list.length - 1;
  if (last - at > FEW) {
    list.splice(at, 0, value);
    return;
  }
  if (at > last) {
    list.push(value);
    return;
  }
  list.push(list[last] as T);
  for (let i = last; i > at; i--) list[i] = list[i - 1] as T;
  list[at] = value;
}

function removeAt<T>(list: T[], at: number): void {
  const last = list.length - 1;
  if (last - at > FEW) {
    list.splice(at, 1);
    return;
  }
  for (let i = at; i < last; i++) list[i] = list[i + 1] as T;
  list.pop();
}
