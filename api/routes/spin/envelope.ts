/**
 * The envelope of the token API that existing clients know: `{success, data, message}`. A refusal carries the data's empty
 * form and the message those clients show; its status is the proper one.
 */
import { type TSchema, Type as t } from "@sinclair/typebox";
import { bad, oneOf, type Param, type Params } from "../../params.ts";
import { ok, type Route, route } from "../route.ts";

export const LIMIT_MAX = 1_000;
/** Listings by page number count their way to a page: further back, there are the cursors of `/v1`. */
const OFFSET_MAX = 1_000_000;

type Definition<P extends Params> = Omit<Route<P>, "answers" | "errorBody" | "handle" | "audience"> & {
  readonly data: TSchema;
  /** Data of a refusal. */
  readonly empty: unknown;
  /** Gives the data. */
  handle(asked: Parameters<Route<P>["handle"]>[0]): unknown;
};

export function enveloped<P extends Params>({ data, empty, handle, ...rest }: Definition<P>): Route {
  return route<P>({
    ...(rest as Omit<Route<P>, "handle" | "audience">),
    audience: "read",
    answers: { 200: t.Object({ success: t.Boolean(), data, message: t.String() }) },
    handle: async (asked) => ok({ success: true, data: await handle(asked), message: "Operation successful" }),
    errorBody: ({ message }) => ({ success: false, data: empty, message }),
  });
}

/** An address that must be there; `name` as it is called in messages. */
export function required<T>(param: Param<T>): Param<T> {
  return {
    ...param,
    read(text, name) {
      if ((text ?? "").trim() === "") throw bad(`${name} parameter cannot be empty`);
      return param.read(text, name);
    },
  };
}

/** An address that may be left out, also by being empty. */
export function orNone<T>(param: Param<T>): Param<T | null> {
  return {
    ...param,
    required: false,
    read: (text, name) => ((text ?? "") === "" ? null : param.read(text, name)),
  };
}

function counted(doc: string, fallback: number, max: number | null): Param<number> {
  return {
    schema: t.Integer({ minimum: 1, ...(max === null ? {} : { maximum: max }), default: fallback }),
    required: false,
    doc,
    read(text, name) {
      if (text === undefined) return fallback;
      if (!/^-?\d{1,18}$/.test(text)) throw bad(`${name} must be a whole number`);
      const value = Number(text);
      if (value < 1) throw bad(`${name} must be greater than 0`);
      if (max !== null && value > max) throw bad(`${name} cannot exceed ${max}`);
      return value;
    },
  };
}

export const limit = counted("entries of a page", 50, LIMIT_MAX);
export const page = counted("page number, from 1", 1, null);

/** One of two words. `message` is what a third one is answered with; without it, the fallback is taken. */
export function order<const A extends string, const D extends string>(
  [ascending, descending]: readonly [A, D],
  message: string | null,
): Param<"asc" | "desc"> {
  return {
    schema: oneOf([ascending, descending], descending),
    required: false,
    doc: "order of entries",
    read(text) {
      if (text !== undefined && text !== ascending && text !== descending && message !== null) throw bad(message);
      return text === ascending ? "asc" : "desc";
    },
  };
}

export interface Paged {
  readonly page: number;
  readonly limit: number;
}

export function offsetOf({ page, limit }: Paged): number {
  const offset = (page - 1) * limit;
  if (offset > OFFSET_MAX)
    throw bad(`page is too far back: at most ${OFFSET_MAX} entries are counted; use /v1 with a cursor`);
  return offset;
}

/** What says where a page lies among `total` entries. */
export function pagination(total: number, { page, limit }: Paged) {
  return { total, page, limit, has_next: (page - 1) * limit + limit < total, has_prev: page > 1 };
}

export const PAGINATION = {
  total: t.Integer(),
  page: t.Integer(),
  limit: t.Integer(),
  has_next: t.Boolean(),
  has_prev: t.Boolean(),
};

export const NO_PAGE = { total: 0, page: 0, limit: 0, has_next: false, has_prev: false };
