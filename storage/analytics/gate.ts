/**
 * The first wall before SQL from elsewhere: what may stand in a query. Everything is refused that is not on a list, by the
 * parsed query and not by its text. A kind of node that DuckDB gains tomorrow is refused until somebody has thought about
 * it. The second wall is a process of its own (`foreign.ts`): each must hold without the other.
 */

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Node = { readonly [key: string]: Json };

/** Names that a table in this place may have; those of CTEs come on top, from where they are defined. */
type Scope = ReadonlySet<string>;

const TABLE_FUNCTIONS = new Set(["range", "generate_series", "unnest"]);

const words = (text: string) => text.trim().split(/\s+/);

/**
 * Functions that compute from their arguments alone, in memory proportional to them. Not here: what reads settings, files
 * or other queries, and what makes much of little (repeat, rpad, list_resize).
 */
const FUNCTIONS = new Set([
  ...words("+ - * / // % ** ^ & | << >> || ~~ !~~ ~~* !~~* ~"),
  ...words(
    "count_star count sum avg min max median mode quantile_cont quantile_disc approx_quantile approx_count_distinct",
  ),
  ...words(
    "stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp regr_slope skewness kurtosis",
  ),
  ...words(
    "arg_min arg_max min_by max_by any_value first last bool_and bool_or product sum_no_overflow string_agg list array_agg",
  ),
  ...words("row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value"),
  ...words(
    "abs round floor ceil ceiling trunc sign sqrt cbrt ln log log2 log10 exp power pow greatest least mod isnan isfinite",
  ),
  ...words(
    "lower upper length strlen octet_length substring substr left right trim ltrim rtrim starts_with ends_with prefix",
  ),
  ...words("suffix contains strpos instr concat concat_ws hex unhex nullif ifnull coalesce if"),
  ...words(
    "to_timestamp epoch epoch_ms date_trunc date_part date_diff datediff make_date strftime year month day hour minute",
  ),
  ...words("second dayofweek to_days to_hours to_minutes to_seconds to_months to_years"),
  ...words(
    "list_value list_contains list_count array_length len list_extract array_extract list_slice list_sort array_sort list_distinct struct_pack row struct_extract",
  ),
  "unnest",
]);

/** Names of tables that are told to who asked for another, characters. */
const TABLES_SHOWN = 1_000;

const EXPRESSIONS = new Set(
  words("COLUMN_REF CONSTANT COMPARISON CONJUNCTION OPERATOR FUNCTION CAST CASE BETWEEN STAR SUBQUERY WINDOW"),
);
const QUERIES = new Set(words("SELECT_NODE SET_OPERATION_NODE"));
const TABLES = new Set(words("BASE_TABLE SUBQUERY JOIN TABLE_FUNCTION EMPTY EXPRESSION_LIST"));
const MODIFIERS = new Set(words("ORDER_MODIFIER LIMIT_MODIFIER DISTINCT_MODIFIER"));
const DIRECTIONS = /^(ORDER_DEFAULT|ASCENDING|DESCENDING|ORDER_ASCENDING|ORDER_DESCENDING)$/;
const TYPE_INFO = /^[A-Z_]+_TYPE_INFO$/;

/** Why the query whose `json_serialize_sql` this is may not be asked; null when it may. `views`: the tables that it may read. */
export function refusal(ast: unknown, views: Iterable<string>): string | null {
  const { error, statements } = ast as Node;
  if (error !== false || !Array.isArray(statements)) return "it is not a SELECT that can be read";
  if (statements.length !== 1) return `one statement is answered at a time, not ${statements.length}`;
  try {
    new Gate().statement(statements[0] as Node, new Set([...views].map((name) => name.toLowerCase())));
    return null;
  } catch (refused) {
    if (refused instanceof Refused) return refused.message;
    throw refused;
  }
}

class Refused extends Error {}

class Gate {
  statement(statement: Node, scope: Scope): void {
    this.children(statement, ["node"], scope);
    this.query(nodeOf(statement["node"]), scope);
  }

  /** A query: first what it names by WITH, each seeing those before it, then the rest seeing all of them. */
  private query(node: Node, outer: Scope): void {
    if (!QUERIES.has(typeOf(node))) throw new Refused(`${typeOf(node)} is not answered`);
    const scope = new Set(outer);
    const named = nodeOf(node["cte_map"])["map"];
    for (const entry of Array.isArray(named) ? named : []) {
      const { key, value } = nodeOf(entry);
      const query = nodeOf(nodeOf(value)["query"]);
      this.query(nodeOf(query["node"]), scope);
      scope.add(String(key).toLowerCase());
    }
    this.children(node, ["cte_map"], scope);
  }

  private visit(value: Json, scope: Scope): void {
    if (Array.isArray(value)) for (const item of value) this.visit(item, scope);
    else if (typeof value === "object" && value !== null) this.node(value as Node, scope);
  }

  private node(node: Node, scope: Scope): void {
    const { type } = node;
    if ("class" in node) this.expression(node, scope);
    else if (typeof type !== "string") this.children(node, [], scope);
    else if (QUERIES.has(type)) this.query(node, scope);
    else if (TABLES.has(type)) this.table(node, scope);
    else if (MODIFIERS.has(type) || DIRECTIONS.test(type) || TYPE_INFO.test(type)) this.children(node, [], scope);
    else throw new Refused(`${type} is not answered`);
  }

  private expression(node: Node, scope: Scope): void {
    const kind = String(node["class"]);
    if (!EXPRESSIONS.has(kind)) throw new Refused(`${kind} is not answered`);
    if (kind === "FUNCTION" || kind === "WINDOW") this.mustBeListed(node, FUNCTIONS);
    this.children(node, [], scope);
  }

  private table(node: Node, scope: Scope): void {
    if (node["type"] === "BASE_TABLE") {
      const name = String(node["table_name"]);
      const [schema, catalog] = [node["schema_name"], node["catalog_name"]].map((part) => String(part ?? ""));
      if ((schema !== "" && schema !== "main") || catalog !== "" || !scope.has(name.toLowerCase())) {
        const there = [...scope].sort().join(", ").slice(0, TABLES_SHOWN);
        throw new Refused(`there is no table ${JSON.stringify(name.slice(0, 64))}; there are ${there}`);
      }
    }
    if (node["type"] === "TABLE_FUNCTION") {
      const call = nodeOf(node["function"]);
      this.mustBeListed(call, TABLE_FUNCTIONS);
      this.children(call, [], scope);
      this.children(node, ["function"], scope);
      return;
    }
    this.children(node, [], scope);
  }

  private mustBeListed(call: Node, listed: ReadonlySet<string>): void {
    const name = String(call["function_name"]).toLowerCase();
    const [schema, catalog] = [call["schema"], call["catalog"]].map((part) => String(part ?? ""));
    // Nobody can have made a function of his own, so "main" is what the parser itself writes.
    if (listed.has(name) && (schema === "" || schema === "main") && catalog === "") return;
    throw new Refused(`the function ${JSON.stringify(name.slice(0, 64))} is not on the list`);
  }

  private children(node: Node, except: readonly string[], scope: Scope): void {
    for (const [key, value] of Object.entries(node)) if (!except.includes(key)) this.visit(value, scope);
  }
}

function nodeOf(value: Json | undefined): Node {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Node;
  throw new Refused("it is not a SELECT that can be read");
}

const typeOf = (node: Node) => String(node["type"]);
