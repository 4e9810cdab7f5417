/** `bun run chaos [--kills N] [--seed S] [--lanes L] [--json]`: kills processes of the pipeline until told enough. */
import { Command } from "commander";
import { describe } from "../../pipeline/errors.ts";
import { runChaos } from "./chaos.ts";

const command = new Command()
  .name("chaos")
  .description("kill -9 the pipeline's processes while it indexes a simulated chain, then compare with the truth")
  .option("--kills <n>", "how many", "100")
  .option("--seed <n>", "seed of the chain and of the kills", "1")
  .option("--lanes <n>", "lanes", "2")
  .option("--json", "the result as JSON on stdout")
  .parse();
const options = command.opts<{ kills: string; seed: string; lanes: string; json?: boolean }>();

try {
  const result = await runChaos({
    seed: Number(options.seed),
    kills: Number(options.kills),
    lanes: Number(options.lanes),
    say: (text) => process.stderr.write(`${text}\n`),
  });
  if (options.json === true) process.stdout.write(`${JSON.stringify(result)}\n`);
  else
    process.stdout.write(`${result.blocks} blocks, ${JSON.stringify(result.killed)}, ${result.seconds.toFixed(0)} s\n`);
  for (const difference of result.differences) process.stderr.write(`differs from the truth: ${difference}\n`);
  process.exitCode = result.differences.length === 0 ? 0 : 1;
} catch (error) {
  process.stderr.write(`chaos: ${describe(error)}\n`);
  process.exitCode = 1;
}
