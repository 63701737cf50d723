/** Contiguity of the trade ids of one exchange whose ids count up by one per symbol. */
import { type CountedId, countedId, follows } from '../counted-id.ts';

export type Continuity =
  | { readonly kind: 'next' | 'duplicate' }
  | { readonly kind: 'gap'; readonly from: string; readonly to: string; readonly missing: number };

const NEXT: Continuity = { kind: 'next' };
const DUPLICATE: Continuity = { kind: 'duplicate' };

export function createCursor() {
  const last = new Map<string, CountedId>();

  return {
    /** Whether this id comes after all that were seen. */
    isNew(symbol: string, tradeId: string): boolean {
      const previous = last.get(symbol);
      return previous === undefined || countedId(tradeId) > previous;
    },
    /** Where `tradeId` stands to the ids seen before; only the newest id moves the cursor. */
    observe(symbol: string, tradeId: string): Continuity {
      const id = countedId(tradeId);
      const previous = last.get(symbol);
      if (previous !== undefined && id <= previous) return DUPLICATE;
      last.set(symbol, id);
      if (previous === undefined || follows(id, previous)) return NEXT;
      const from = BigInt(previous) + 1n;
      const to = BigInt(id) - 1n;
      return { kind: 'gap', from: String(from), to: String(to), missing: Number(to - from + 1n) };
    },
  };
}
