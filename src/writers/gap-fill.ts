/**
 * Frames that refill a gap: rows, under a line of JSON that says which ids of which gap they settle.
 * In one frame, so that the one is never stored, lost or repeated without the other. Without rows it
 * says that the ids cannot be had.
 */
export interface GapFill {
  readonly symbol: string;
  /** The end of the gap, by which it is known. */
  readonly gap: bigint;
  readonly from: bigint;
  readonly through: bigint;
  /** Why these ids cannot be had; null: here they are. */
  readonly reason: string | null;
}

export function encodeFill(fill: GapFill, rows: string): Buffer {
  const { symbol, gap, from, through, reason } = fill;
  const ids = { gap: String(gap), from: String(from), through: String(through) };
  return Buffer.from(`${JSON.stringify({ symbol, ...ids, reason })}\n${rows}`);
}

/** Throws on what `encodeFill` did not make; frames carry a checksum. */
export function decodeFill(payload: Buffer): GapFill {
  const line = payload.toString('utf8', 0, payload.indexOf(10));
  const { symbol, gap, from, through, reason } = JSON.parse(line) as Record<keyof GapFill, string>;
  return { symbol, gap: BigInt(gap), from: BigInt(from), through: BigInt(through), reason };
}
