/**
 * The identity that must hold whatever happens: each row that came in, or came again from disk, is
 * somewhere.
 *
 *   received + reread = stored + duplicate + known + quarantined + dropped + left + standby + pending
 *
 * Rows that were refused before they were rows (hyperfeed_rows_rejected_total) are on neither side.
 */
const IN = ['rowsReceived', 'rowsReread'] as const;
const OUT = [
  'rowsStored',
  'rowsDuplicate',
  'rowsKnown',
  'rowsQuarantined',
  'rowsDropped',
  'rowsLeft',
  'standbyRows',
  'spoolRowsPending',
] as const;

type Name = (typeof IN | typeof OUT)[number];

interface Sampled {
  get(): Promise<{ readonly values: readonly { readonly value: number }[] }>;
}

/** Rows that are nowhere; below zero: rows that are in two places. */
export async function accountingError(metrics: Readonly<Record<Name, Sampled>>): Promise<number> {
  const sumOf = async (name: Name) => {
    const { values } = await metrics[name].get();
    return values.reduce((sum, { value }) => sum + value, 0);
  };
  // Asked for at once: rows move meanwhile.
  const [came, went] = await Promise.all(
    [IN, OUT].map(async (names) => (await Promise.all(names.map(sumOf))).reduce((a, b) => a + b)),
  );
  return (came ?? 0) - (went ?? 0);
}
