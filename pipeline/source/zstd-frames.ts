/**
 * Follows the frames of a zstd file as its compressed bytes go by, to tell a whole file from one that was cut short:
 * Bun's decompression stream ends silently in the middle of a frame. Layout: RFC 8878, section 3.1.
 */

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const CONTENT_SIZE_BYTES = [0, 2, 4, 8] as const;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const BLOCK_RLE = 1;

type Part =
  | "magic"
  | "skippable size"
  | "descriptor"
  | "header rest"
  | "block header"
  | "block"
  | "checksum"
  | "skipped";

export class ZstdFrames {
  #part: Part = "magic";
  /** Bytes of the current part still to come. */
  #missing = 4;
  /** The current part's first bytes as a little-endian number; parts that are read are at most four bytes long. */
  #value = 0;
  #taken = 0;
  #checksum = false;
  #lastBlock = false;
  #frames = 0;
  #seenBytes = 0;
  #wholeBytes = 0;

  /** Frames that were seen whole. */
  get frames(): number {
    return this.#frames;
  }

  /** True between frames: a file that ends here has not been cut inside one. */
  get complete(): boolean {
    return this.#part === "magic" && this.#taken === 0;
  }

  /** Bytes up to the end of the last whole frame. */
  get wholeBytes(): number {
    return this.#wholeBytes;
  }

  /** Takes the next compressed bytes. What is not zstd is left for the decompressor to refuse. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const take = Math.min(this.#missing, chunk.length - at);
      for (let i = 0; i < take && this.#taken + i < 4; i++)
        this.#value += chunk[at + i]! * 2 ** (8 * (this.#taken + i));
      at += take;
      this.#taken += take;
      this.#missing -= take;
      while (this.#missing === 0) this.#expect(...this.#next());
      if (this.complete) this.#wholeBytes = this.#seenBytes + at;
    }
    this.#seenBytes += chunk.length;
  }

  /** What follows the part that has just ended, and how long it is. */
  #next(): readonly [Part, number] {
    const value = this.#value;
    switch (this.#part) {
      case "magic":
        if (value === FRAME_MAGIC) return ["descriptor", 1];
        if ((value & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) return ["skippable size", 4];
        return ["skipped", Number.POSITIVE_INFINITY];
      case "skippable size":
        return ["skipped", value];
      case "descriptor":
        return ["header rest", this.#headerRest(value)];
      case "header rest":
        return ["block header", 3];
      case "block header":
        this.#lastBlock = (value & 1) === 1;
        return ["block", ((value >> 1) & 3) === BLOCK_RLE ? 1 : value >> 3];
      case "block":
        if (!this.#lastBlock) return ["block header", 3];
        return ["checksum", this.#checksum ? 4 : 0];
      default:
        this.#frames++;
        return ["magic", 4];
    }
  }

  /** Bytes between the descriptor and the first block: window, dictionary id, content size. */
  #headerRest(descriptor: number): number {
    const singleSegment = (descriptor & 0x20) !== 0;
    this.#checksum = (descriptor & 4) !== 0;
    const sizeFlag = descriptor >> 6;
    const sizeBytes = sizeFlag === 0 && singleSegment ? 1 : CONTENT_SIZE_BYTES[sizeFlag]!;
    return (singleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + sizeBytes;
  }

  #expect(part: Part, bytes: number): void {
    this.#part = part;
    this.#missing = bytes;
    this.#value = 0;
    this.#taken = 0;
  }
}
