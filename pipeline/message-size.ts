/**
 * Bounds what decoding a message of somebody else can cost. A few bytes of protobuf can stand for many objects (an empty
 * message is two bytes and becomes some hundred), so one within the size limit could still fill the memory; and one that
 * is nested deeply enough would overflow the stack of whoever walks it.
 */
import { type AnyMessage, BinaryReader, type MessageType, WireType } from "@bufbuild/protobuf";

/** Protobuf's own libraries allow as much. */
const DEPTH_MAX = 100;

/** What a message holds: for the number of a field that is itself a message, what that one holds. */
type Level = (field: number) => Level | null;

/** Throws `RangeError` when `bytes` hold more than `fieldsMax` fields at all depths, or too many levels; other errors: no protobuf. */
export function checkMessageSize(type: MessageType<AnyMessage>, bytes: Uint8Array, fieldsMax: number): void {
  let fields = 0;
  const walk = (level: Level, content: Uint8Array, depth: number): void => {
    if (depth > DEPTH_MAX) throw new RangeError(`messages are nested more than ${DEPTH_MAX} deep`);
    const reader = new BinaryReader(content);
    while (reader.pos < reader.len) {
      if (++fields > fieldsMax) throw new RangeError(`more than ${fieldsMax} fields`);
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

/** Whether a message of this type can hold another one like itself: others are only as deep as their type. */
export function isRecursive(type: MessageType<AnyMessage>): boolean {
  const done = new Set<string>();
  const leadsBack = (at: MessageType<AnyMessage>, above: readonly string[]): boolean => {
    if (above.includes(at.typeName)) return true;
    if (done.has(at.typeName)) return false;
    done.add(at.typeName);
    return at.fields.list().some((field) => {
      const inner = field.kind === "map" ? field.V : field;
      return inner.kind === "message" && leadsBack(inner.T, [...above, at.typeName]);
    });
  };
  return leadsBack(type, []);
}
