/**
 * Bounds what decoding a package can cost. A few bytes of protobuf can stand for many objects (an empty message is two
 * bytes and becomes some hundred), so a file within the size limit could still fill the memory.
 */
import { type AnyMessage, BinaryReader, type MessageType, WireType } from "@bufbuild/protobuf";

/** Fields of one package, at all depths. Real packages have some ten thousand. */
const FIELDS_MAX = 1_000_000;
const DEPTH_MAX = 100;

/** What a message holds: for the number of a field that is itself a message, what that one holds. */
type Level = (field: number) => Level | null;

/** Throws `RangeError` when `bytes` hold more fields or levels than any honest package; other errors: no protobuf. */
export function checkMessageSize(type: MessageType<AnyMessage>, bytes: Uint8Array): void {
  let fields = 0;
  const walk = (level: Level, content: Uint8Array, depth: number): void => {
    if (depth > DEPTH_MAX) throw new RangeError(`messages are nested more than ${DEPTH_MAX} deep`);
    const reader = new BinaryReader(content);
    while (reader.pos < reader.len) {
      if (++fields > FIELDS_MAX) throw new RangeError(`more than ${FIELDS_MAX} fields`);
      const [number, wireType] = reader.tag();
      const inner = wireType === WireType.LengthDelimited ? level(number) : null;
      if (inner === null) reader.skip(wireType);
      else walk(inner, reader.bytes(), depth + 1);
    }
  };
  walk(levelOf(type), bytes, 1);
}

function levelOf(type: MessageType<AnyMessage>): Level {
  return (number) => {
    const field = type.fields.find(number);
    if (field?.kind === "message") return levelOf(field.T);
    if (field?.kind !== "map") return null;
    // An entry of a map is a message: the key is field 1, the value field 2.
    const value = field.V.kind === "message" ? levelOf(field.V.T) : null;
    return (part) => (part === 2 ? value : null);
  };
}
