/** Contiguity of the trade ids of one exchange whose ids count up by one per symbol. */

export type Continuity =
  | { readonly kind: 'next' | 'duplicate' }
  | { readonly kind: 'gap'; readonly from: string; readonly to: string; readonly missing: number };

export function createCursor() {
  const last = new Map<string, bigint>();

  return {
    /** Whether this id comes after all that were seen. */
    isNew(symbol: string, tradeId: string): boolean {
      const previous = last.get(symbol);
      return previous === undefined || BigInt(tradeId) > previous;
    },
    /** Where `tradeId` stands to the ids seen before; only the newest id moves the cursor. */
    observe(symbol: string, tradeId: string): Continuity {
      const id = BigInt(tradeId);
      const previous = last.get(symbol);
      if (previous !== undefined && id <= previous) return { kind: 'duplicate' };
      last.set(symbol, id);
      if (previous === undefined || id === previous + 1n) return { kind: 'next' };
      return {
        kind: 'gap',
        from: String(previous + 1n),
        to: String(id - 1n),
        missing: Number(id - previous - 1n),
      };
    },
  };
}
