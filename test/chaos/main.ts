/**
 * `bun run chaos [--kills N] [--seed S] [--lanes L] [--json]`: kills processes of the pipeline until told enough.
 * `bun run chaos --archiver`: kills the archiver between the steps of its commits, see `archiver.ts`.
 */
import { Command } from "commander";
import { describe } from "../../pipeline/errors.ts";
import { runArchiverChaos } from "./archiver.ts";
import { runChaos } from "./chaos.ts";

const command = new Command()
  .name("chaos")
  .description("kill -9 the pipeline's processes while it indexes a simulated chain, then compare with the truth")
  .option("--kills <n>", "how many", "100")
  .option("--seed <n>", "seed of the chain and of the kills", "1")
  .option("--lanes <n>", "lanes", "2")
  .option(
    "--archiver",
    "kill the archiver between the steps of its commits: half in a folder, half in a failing bucket",
  )
  .option("--json", "the result as JSON on stdout")
  .parse();
const options = command.opts<{ kills: string; seed: string; lanes: string; json?: boolean; archiver?: boolean }>();

try {
  process.exitCode = options.archiver === true ? await killArchiver() : await killAll();
} catch (error) {
  process.stderr.write(`chaos: ${describe(error)}\n`);
  process.exitCode = 1;
}

async function killArchiver(): Promise<number> {
  const kills = Math.max(1, Math.floor(Number(options.kills) / 2));
  let code = 0;
  for (const lake of ["folder", "bucket"] as const) {
    const result = await runArchiverChaos({ seed: Number(options.seed), kills, lake, say });
    const { differences, findings, ...figures } = result;
    process.stdout.write(`${JSON.stringify(options.json === true ? { lake, ...result } : { lake, ...figures })}\n`);
    for (const difference of differences) say(`differs from the truth: ${difference}`);
    for (const finding of findings) say(`the lake is not sound: ${finding}`);
    if (differences.length + findings.length > 0) code = 1;
  }
  return code;
}

async function killAll(): Promise<number> {
  const result = await runChaos({
    seed: Number(options.seed),
    kills: Number(options.kills),
    lanes: Number(options.lanes),
    say,
  });
  if (options.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  else
    process.stdout.write(`${result.blocks} blocks, ${JSON.stringify(result.killed)}, ${result.seconds.toFixed(0)} s\n`);
  for (const difference of result.differences) say(`differs from the truth: ${difference}`);
  return result.differences.length === 0 ? 0 : 1;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
