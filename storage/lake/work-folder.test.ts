/** Work folders. Goal: what a dead process left is removed, what a living one uses is not. */
import { expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeWorkFolder } from "./work-folder.ts";

test("folders of dead processes go, those of living ones and all else stay", async () => {
  const parent = join(await mkdtemp(join(tmpdir(), "work-")), "deep");
  const first = await makeWorkFolder(parent);
  const dead = Bun.spawn(["true"]);
  await dead.exited;
  await mkdir(join(parent, `work-${dead.pid}-left`));
  await Bun.write(join(parent, `work-${dead.pid}-left`, "next.parquet"), "half");
  await mkdir(join(parent, `work-1-of-another-user`));
  await mkdir(join(parent, "other"));
  const second = await makeWorkFolder(parent);
  expect(second).not.toBe(first);
  const expected = [first, second].map((path) => path.slice(parent.length + 1));
  expect((await readdir(parent)).sort()).toEqual([...expected, "other", "work-1-of-another-user"].sort());
  await rm(parent, { recursive: true });
});

test("a place that takes no folder is named", async () => {
  const file = join(await mkdtemp(join(tmpdir(), "work-")), "file");
  await Bun.write(file, "");
  await expect(makeWorkFolder(join(file, "below"))).rejects.toMatchObject({
    code: "LAKE_IO",
    where: join(file, "below"),
  });
});
