/** `sluice token`: who may use the API, and for what. */
import { join } from "node:path";
import type { Command } from "commander";
import type { TokenEntry } from "../api/access/tokens.ts";
import type { Config } from "../pipeline/config.ts";
import { Fatal } from "../pipeline/errors.ts";
import { systemWorld } from "../pipeline/world.ts";
import { type CliContext, oneOf, wholeNumber } from "./context.ts";
import { folders } from "./folders.ts";

const DAY_MS = 86_400_000;
const SCOPES = ["read", "live", "control", "sql"] as const;

/** Where a deployment keeps its tokens. */
export function tokensPath(config: Config): string {
  return config["api.tokensFile"] === "" ? join(folders(config).data, "tokens.json") : config["api.tokensFile"];
}

export function register(program: Command, context: CliContext): void {
  const token = program.command("token").description("make, list and revoke access tokens of the API");
  const file = async (command: Command) => {
    const { config, json } = context.load(command);
    const { TokenFile } = await import("../api/access/tokens.ts");
    return { file: new TokenFile(tokensPath(config), systemWorld), json };
  };
  const print = (value: unknown, text: string, json: boolean) =>
    context.stdout.write(`${json ? JSON.stringify(value) : text}\n`);

  token
    .command("create")
    .description("make a token and print it: it is not shown again")
    .argument("<name>", "letters, digits, dots, dashes and underscores")
    .option("--scope <scopes>", `what it is good for, comma-separated: ${SCOPES.join(", ")}`, "read,live")
    .option("--expires <days>", "days until it is refused; without it never")
    .option("--rate <requests>", "requests in a window (setting api.rateWindowSeconds); without it api.tokenRateLimit")
    .addHelpText(
      "after",
      `
Examples:
  sluice token create terminal
  sluice token create ops --scope read,control --expires 90
  curl -H "Authorization: Bearer slc_..." http://127.0.0.1:8787/v1/mints`,
    )
    .action(async (name: string, options: { scope: string; expires?: string; rate?: string }, command: Command) => {
      const scopes = options.scope.split(",").map((scope) => oneOf("--scope", scope.trim(), SCOPES));
      const days = options.expires === undefined ? null : wholeNumber("--expires", options.expires, 1, 36_500);
      const rate = options.rate === undefined ? null : wholeNumber("--rate", options.rate, 1, 1_000_000);
      const { file: tokens, json } = await file(command);
      const { token, entry } = tokens.create({
        name,
        scopes,
        ...(days === null ? {} : { expires: systemWorld.now() + days * DAY_MS }),
        ...(rate === null ? {} : { rateLimit: rate }),
      });
      print({ token, ...shown(entry) }, token, json);
      context.stderr.write(`${entry.name} may ${entry.scopes.join(", ")}. Keep the token: it is not shown again.\n`);
    });

  token
    .command("list")
    .description("list tokens, without their secrets")
    .action(async (_options: object, command: Command) => {
      const { file: tokens, json } = await file(command);
      const entries = tokens.entries();
      const text = entries.length === 0 ? "no tokens" : entries.map(line).join("\n");
      print(entries.map(shown), text, json);
    });

  token
    .command("revoke")
    .description("refuse a token from now on; running servers notice within a second")
    .argument("<name>", "name or id of the token")
    .action(async (name: string, _options: object, command: Command) => {
      const { file: tokens, json } = await file(command);
      const revoked = tokens.revoke(name);
      if (revoked === null) {
        throw new Fatal("TOKEN_UNKNOWN", `there is no token named ${JSON.stringify(name.slice(0, 64))}`, {
          where: tokens.path,
          hint: "`sluice token list` names them.",
        });
      }
      print(shown(revoked), `revoked ${revoked.name} (${revoked.id})`, json);
    });
}

/** What may be told of a token. */
function shown({ id, name, scopes, created, expires, rateLimit }: TokenEntry) {
  const time = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  return { id, name, scopes, created: time(created), expires: time(expires), rateLimit };
}

function line(entry: TokenEntry): string {
  const { id, name, scopes, expires } = shown(entry);
  return `${id}  ${name.padEnd(20)}  ${scopes.join(",").padEnd(22)}  ${expires === null ? "does not expire" : `until ${expires}`}`;
}
