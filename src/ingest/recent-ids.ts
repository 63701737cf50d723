/** The newest ids of each symbol, by which a repeated trade is known. */
export function createRecentIds(perSymbol: number) {
  const known = new Map<string, Set<string>>();

  return {
    has: (symbol: string, id: string): boolean => known.get(symbol)?.has(id) ?? false,
    add(symbol: string, id: string): void {
      let ids = known.get(symbol);
      if (!ids) known.set(symbol, (ids = new Set()));
      ids.add(id);
      const [oldest] = ids;
      if (ids.size > perSymbol && oldest !== undefined) ids.delete(oldest);
    },
  };
}
