/** Runs the lane script on a file until it is killed or fenced; prints the number of each action that is durable. */
import { writeSync } from "node:fs";
import { Fenced } from "../pipeline/errors.ts";
import { CATALOG } from "../stages/sync/lane-fixture.ts";
import { HotStore } from "../storage/hot/store.ts";
import { lastAction, perform } from "./lane-script.ts";

const store = new HotStore({ file: process.argv[2]!, catalog: CATALOG });
const head = await store.open();
try {
  for (let n = lastAction(head?.position) + 1; ; n++) {
    await perform(store, n);
    // Before the next action begins: what is still on its way when it is killed was never said.
    writeSync(1, `${n}\n`);
  }
} catch (error) {
  writeSync(1, error instanceof Fenced ? "fenced\n" : `${error}\n`);
}
