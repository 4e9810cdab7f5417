/** Lines of a stream of bytes, for processes that talk in lines. */

/** Each line without its end; null, and no more, when one is longer than `bytesMax`. What follows the last end is left out. */
export async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<string | null, void, undefined> {
  let pieces: Uint8Array[] = [];
  let held = 0;
  for await (let rest of stream) {
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield Buffer.concat([...pieces, rest.subarray(0, end)]).toString();
      pieces = [];
      held = 0;
      rest = rest.subarray(end + 1);
    }
    pieces.push(rest);
    held += rest.length;
    if (held <= bytesMax) continue;
    yield null;
    return;
  }
}
