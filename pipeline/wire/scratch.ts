/** Memory that is used again and again: fresh memory for each batch costs more than the copy into it. */
export class Scratch {
  private bytes = new Uint8Array(1024 * 1024);

  /** Room for so many bytes, whatever is in it; used up before the next call. */
  take(size: number): Uint8Array<ArrayBuffer> {
    if (size > this.bytes.length) this.bytes = new Uint8Array(size);
    return this.bytes.subarray(0, size);
  }
}
