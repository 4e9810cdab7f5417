/** What every contender must find in a block, and how finding it is proven: a digest to compare, a checksum to time. */

export interface Extractor {
  /** Visits everything that was found in the payload. */
  visit(payload: Uint8Array, found: Visitor): void;
  /** The same work without a visitor: what is timed. Adds up a byte of everything, so that nothing can be left out. */
  checksum(payload: Uint8Array): number;
}

export interface Visitor {
  transaction(signature: Uint8Array, failed: boolean): void;
  /** Data of an instruction of the program, in execution order. */
  instruction(data: Uint8Array): void;
  log(line: Uint8Array): void;
}

/** Hashes all that is visited. */
export class DigestVisitor implements Visitor {
  private readonly hash = new Bun.CryptoHasher("sha256");

  transaction(signature: Uint8Array, failed: boolean): void {
    this.add("t", signature);
    this.hash.update(failed ? "1" : "0");
  }

  instruction(data: Uint8Array): void {
    this.add("i", data);
  }

  log(line: Uint8Array): void {
    this.add("l", line);
  }

  finish(): string {
    return this.hash.digest("hex");
  }

  private add(kind: string, bytes: Uint8Array): void {
    this.hash.update(`${kind}${bytes.length}:`);
    this.hash.update(bytes);
  }
}
