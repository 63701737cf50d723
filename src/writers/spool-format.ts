/**
 * The bytes of a spool segment.
 *
 *   segment  header frame*
 *   header   magic 4 | version u16 | 0 u16 | exchange crc32 u32 | epoch 8 | first seq u64 | crc32 u32
 *   frame    payload length u32 | crc32 u32 | seq u64 | type u8 | flags u8 | table u16 | payload
 *
 * Little endian; a seq has 48 bits. A frame's crc covers everything after it. The payload of a rows
 * frame is COPY text, so that `psql \copy` can load what a program no longer can; that of a fill frame
 * has a line before. Text holds no NUL and a frame's header some, so none is found within a payload.
 */
import { crc32 } from 'node:zlib';

export const SEGMENT_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 20;
/** A longer length is no length. */
export const MAX_PAYLOAD_BYTES = 1024 * 1024;

/** What a frame holds: rows as they came. */
export const FRAME_ROWS = 1 as const;
/** Rows that refill a gap, under a first line that says which ids they settle: see gap-fill.ts. */
export const FRAME_FILL = 2 as const;

export type FrameType = typeof FRAME_ROWS | typeof FRAME_FILL;

const MAGIC = 'HFSP';
const VERSION = 1;

export interface Frame {
  readonly seq: number;
  readonly type: FrameType;
  readonly table: number;
  readonly payload: Buffer;
}

export interface SegmentHeader {
  readonly exchange: string;
  /** 16 hex digits: one run of one daemon. */
  readonly epoch: string;
  readonly firstSeq: number;
}

export function encodeSegmentHeader({ exchange, epoch, firstSeq }: SegmentHeader): Buffer {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  header.write(MAGIC, 0, 'latin1');
  header.writeUInt16LE(VERSION, 4);
  header.writeUInt32LE(crc32(exchange), 8);
  header.write(epoch, 12, 'hex');
  header.writeBigUInt64LE(BigInt(firstSeq), 20);
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  return header;
}

export type DecodedHeader =
  /** Frames follow: of this epoch, or of the one in the file's name where the header was damaged. */
  | { readonly kind: 'header'; readonly epoch: string; readonly firstSeq: number }
  | { readonly kind: 'damaged' }
  /** A crash came before the file was made: it holds no frame. */
  | { readonly kind: 'torn' }
  /** Not for us to read: the checksum is right and says so. */
  | { readonly kind: 'foreign'; readonly problem: string };

/** The beginning of a segment. */
export function decodeSegmentHeader(header: Buffer, exchange: string): DecodedHeader {
  if (header.length < SEGMENT_HEADER_BYTES) return { kind: 'torn' };
  if (header.readUInt32LE(28) !== crc32(header.subarray(0, 28))) return { kind: 'damaged' };
  if (header.toString('latin1', 0, 4) !== MAGIC) return { kind: 'damaged' };
  if (header.readUInt16LE(4) !== VERSION) {
    return { kind: 'foreign', problem: `version ${header.readUInt16LE(4)}` };
  }
  if (header.readUInt32LE(8) !== crc32(exchange)) {
    return { kind: 'foreign', problem: 'of another exchange' };
  }
  const firstSeq = Number(header.readBigUInt64LE(20));
  return { kind: 'header', epoch: header.toString('hex', 12, 20), firstSeq };
}

export function encodeFrames(frames: readonly Frame[]): Buffer {
  const size = frames.reduce((sum, f) => sum + FRAME_HEADER_BYTES + f.payload.length, 0);
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { seq, type, table, payload } of frames) {
    const end = at + FRAME_HEADER_BYTES + payload.length;
    buffer.writeUInt32LE(payload.length, at);
    buffer.writeBigUInt64LE(BigInt(seq), at + 8);
    buffer.writeUInt8(type, at + 16);
    buffer.writeUInt8(0, at + 17);
    buffer.writeUInt16LE(table, at + 18);
    payload.copy(buffer, at + FRAME_HEADER_BYTES);
    buffer.writeUInt32LE(crc32(buffer.subarray(at + 8, end)), at + 4);
    at = end;
  }
  return buffer;
}

export type DecodedFrame =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly end: number }
  /** More bytes are needed; at the end of a segment: a write that a crash cut short, or damage. */
  | { readonly kind: 'incomplete' }
  /** No frame that we wrote begins here. */
  | { readonly kind: 'corrupt' };

const INCOMPLETE: DecodedFrame = { kind: 'incomplete' };
const CORRUPT: DecodedFrame = { kind: 'corrupt' };

/** The frame that begins at `at`. Its payload is a view of `buffer`. */
export function decodeFrame(buffer: Buffer, at: number): DecodedFrame {
  if (buffer.length - at < FRAME_HEADER_BYTES) return INCOMPLETE;
  const length = buffer.readUInt32LE(at);
  const type = buffer.readUInt8(at + 16);
  // Cheap, and rarely true of bytes that begin no frame: a search for the next one is fast by it.
  if (length === 0 || length > MAX_PAYLOAD_BYTES) return CORRUPT;
  if ((type !== FRAME_ROWS && type !== FRAME_FILL) || buffer.readUInt8(at + 17) !== 0) {
    return CORRUPT;
  }
  if (buffer.readUInt16LE(at + 14) !== 0) return CORRUPT;
  const end = at + FRAME_HEADER_BYTES + length;
  if (end > buffer.length) return INCOMPLETE;
  if (buffer.readUInt32LE(at + 4) !== crc32(buffer.subarray(at + 8, end))) {
    return CORRUPT;
  }
  const seq = Number(buffer.readBigUInt64LE(at + 8));
  const table = buffer.readUInt16LE(at + 18);
  const payload = buffer.subarray(at + FRAME_HEADER_BYTES, end);
  return { kind: 'frame', frame: { seq, type, table, payload }, end };
}

/** COPY text alone. */
export function rowsIn({ type, payload }: Pick<Frame, 'type' | 'payload'>): Buffer {
  return type === FRAME_FILL ? payload.subarray(payload.indexOf(10) + 1) : payload;
}

/** COPY text ends each row with a newline and escapes all others. */
export function countRows(frame: Pick<Frame, 'type' | 'payload'>): number {
  const payload = rowsIn(frame);
  let rows = 0;
  for (let at = payload.indexOf(10); at !== -1; at = payload.indexOf(10, at + 1)) rows++;
  return rows;
}
