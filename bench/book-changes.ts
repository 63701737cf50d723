/**
 * Changes of an order book, made here: 1,000 levels a side, most changes near the best, a third of
 * them deletions.
 */
import type { DecodedBook } from '../src/ingest/adapter.ts';
import type { Level } from '../src/ingest/events.ts';
import { createRandom } from '../test/support/random.ts';

const LEVELS = 1_000;
const LEVELS_A_SIDE = 10;
/** In ticks of 0.01. */
const BEST_BID = 6_100_000;

export interface BookChanges {
  readonly snapshot: DecodedBook;
  readonly changes: readonly DecodedBook[];
  /** In the changes. */
  readonly levels: number;
}

export function makeBookChanges(count: number): BookChanges {
  const random = createRandom(7);
  const ladder = Array.from({ length: LEVELS }, (_, i) => i);
  const present = { bids: new Set(ladder), asks: new Set(ladder) };
  const amount = () => (random() * 5 + 0.00001).toFixed(5);
  const bid = (place: number, size: string) => level(BEST_BID - place, size);
  const ask = (place: number, size: string) => level(BEST_BID + 1 + place, size);

  function side(places: Set<number>, levelAt: typeof bid): Level[] {
    return Array.from({ length: LEVELS_A_SIDE }, () => {
      const place = Math.floor(random() ** 3 * LEVELS);
      const gone = places.has(place) && random() < 0.5;
      if (gone) places.delete(place);
      else places.add(place);
      return levelAt(place, gone ? '0.00000' : amount());
    });
  }

  const snapshot = book(
    1,
    true,
    ladder.map((place) => bid(place, amount())),
    ladder.map((place) => ask(place, amount())),
  );
  const changes = Array.from({ length: count }, (_, i) =>
    book(i + 2, false, side(present.bids, bid), side(present.asks, ask)),
  );
  return { snapshot, changes, levels: count * LEVELS_A_SIDE * 2 };
}

function book(id: number, snapshot: boolean, bids: Level[], asks: Level[]): DecodedBook {
  const time = 1_772_359_200_000_000 + id * 100_000;
  return { kind: 'book', venueSymbol: 'BTCUSDT', snapshot, first: id, last: id, time, bids, asks };
}

function level(tick: number, amount: string): Level {
  return [`${Math.floor(tick / 100)}.${String(tick % 100).padStart(2, '0')}`, amount];
}
