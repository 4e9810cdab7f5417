/** Paths into protobuf messages, resolved against their types: "transactions.swaps.amount" to a way of getting there. */
import type { FieldInfo, MessageType } from "@bufbuild/protobuf";
import { closest } from "../../../pipeline/closest.ts";
import { Fatal } from "../../../pipeline/errors.ts";

/** A message as protobuf-es makes it, seen by field. */
export type Fields = Readonly<Record<string, unknown>>;

/** One field on the way: how it is read from its message. */
export interface Step {
  readonly field: FieldInfo;
  /** Undefined where it is not set: an absent message, another case of the oneof. */
  read(message: Fields): unknown;
}

/** The steps of a path; every one but the last leads into a message. Throws `Fatal` MAP_PATH. */
export function resolvePath(type: MessageType, path: string, where: string): Step[] {
  const steps: Step[] = [];
  let at: MessageType | null = type;
  for (const name of path === "" ? [] : path.split(".")) {
    if (at === null) throw notThere(path, `${steps.at(-1)!.field.name} holds no message`, where);
    const field = at.fields.list().find((f) => f.name === name || f.localName === name);
    if (field === undefined) throw unknownField(at, name, path, where);
    steps.push(stepOf(field));
    at = messageOf(field);
  }
  return steps;
}

export function stepOf(field: FieldInfo): Step {
  const { oneof, localName } = field;
  if (oneof === undefined) return { field, read: (message) => message[localName] };
  return {
    field,
    read: (message) => {
      const chosen = message[oneof.localName] as { case?: string; value?: unknown };
      return chosen.case === localName ? chosen.value : undefined;
    },
  };
}

/** The message type that a field holds, alone or repeated; null for values and maps. */
export function messageOf(field: FieldInfo): MessageType | null {
  return field.kind === "message" ? field.T : null;
}

/** What the steps lead to, all of them single; undefined where one is not set. */
export function follow(steps: readonly Step[], message: Fields): unknown {
  let value: unknown = message;
  for (const step of steps) {
    if (value === undefined || value === null) return undefined;
    value = step.read(value as Fields);
  }
  return value;
}

function unknownField(type: MessageType, name: string, path: string, where: string): Fatal {
  const names = type.fields.list().map((field) => field.name);
  const near = closest(name, names);
  const meant = near === null ? "" : `Did you mean "${near}"? `;
  return notThere(path, `${type.typeName} has no field "${name}"`, where, `${meant}It has: ${names.join(", ")}.`);
}

export function notThere(path: string, why: string, where: string, hint?: string): Fatal {
  return new Fatal("MAP_PATH", `the path "${path}" leads nowhere: ${why}`, {
    where,
    hint: hint ?? "`sluice map --package P --module M` proposes paths that exist.",
  });
}
