/**
 * Goal: with the lake and its raw blocks in a bucket, a lost host costs nothing: what a stale decoder misread is put right from
 * the bucket's blocks alone, and the catalogue of the bucket's files has every row for other engines. Method: the commands that
 * users run, against the service that SLUICE_TEST_S3 names or one of the suite's own, every row against the simulator's truth;
 * the catalogue's script by DuckDB itself where SLUICE_TEST_PYTHON names a Python that has it with its extensions.
 */
import { expect, test } from "bun:test";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { REAL_S3, TestBucket } from "../../storage/lake/s3/fixture.ts";
import { S3Server } from "../../storage/lake/s3/server-fixture.ts";
import { ROOT, useGround } from "./ground.ts";
import { Market } from "./market.ts";

const ground = useGround();

/** A bucket of its own, and the settings that reach it. */
async function bucketSettings(): Promise<string[]> {
  const server = REAL_S3 === null ? new S3Server() : null;
  if (server !== null) ground.atEnd(() => server.stop());
  const bucket = await TestBucket.make(server?.url ?? REAL_S3!.endpoint, REAL_S3 ?? {});
  ground.atEnd(() => bucket.dispose());
  const { endpoint, region, accessKeyId, secretAccessKey } = bucket.options;
  const { bucket: name, prefix } = bucket.options.bucket;
  const keys = [`lake.s3.accessKeyId=${accessKeyId}`, `lake.s3.secretAccessKey=${secretAccessKey}`];
  return [
    ...[`lake.url=s3://${name}/${prefix.replace(/\/$/, "")}`, `lake.s3.endpoint=${endpoint}`],
    ...[`lake.s3.region=${region}`, ...(server === null ? [] : keys)],
  ];
}

/** DuckDB as other programs use it, with the extensions that Python's package index has of it. */
const DUCKDB = `
import duckdb, duckdb_ext, json, os, sys
folder = os.path.join(list(duckdb_ext.__path__)[0], "extensions")
con = duckdb.connect(config={"extension_directory": folder})
con.execute(sys.stdin.read())
names = [name for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'").fetchall()]
print(json.dumps({name: con.execute(f'SELECT count(*) FROM lake."{name}"').fetchone()[0] for name in names}))
`;

test("a lost host and a stale decoder: healed from the bucket's blocks; other engines read all of it by the catalogue", async () => {
  const settings = ["lanes=2", "lease.ttlMs=2000", "archive.rollSeconds=20", "archive.rawBlocks=true"];
  const market = await Market.open(ground, {
    blocks: 200,
    seed: 71,
    grows: { fromSlot: 370_500_080, at: "middle" },
    settings: [...settings, ...(await bucketSettings())],
  });
  const flags = market.settings().flatMap((setting) => ["--set", setting]);
  expect(await market.start(["--exit-at-end"]).exited).toBe(0);
  expect((await market.differences()).length).toBeGreaterThan(5);
  await rm(ground.path("data"), { recursive: true });

  const improved = ground.path("improved.yaml");
  const later = JSON.stringify(join(ROOT, "docs/examples/market-grown-idl.json"));
  await writeFile(improved, `programs: [{preset: spinpet, later: [${later}]}]\n`);
  const command = ["redecode", "--program", "spinpet", "--rebuild", "--json", "--config", improved, ...flags];
  const done = await ground.run(command);
  expect([done.code, done.code === 0 ? "" : done.stderr]).toEqual([0, ""]);
  expect(JSON.parse(done.stdout).kept).toEqual({ read: 0, healed: 0, needBlock: 0 });
  expect(await market.differences()).toEqual([]);
  const verified = await ground.run(["verify", "--deep", "--json", ...flags]);
  expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, findings: [] });

  const catalogue = await ground.run(["catalogue", "--file", ground.path("lake.ducklake"), ...flags]);
  expect(catalogue.code).toBe(0);
  expect(`${catalogue.stdout}${catalogue.stderr}`).not.toContain("S3RVER");
  const counted = await countedByDuckDb(catalogue.stdout);
  if (counted === null) return;
  for (const name of ["trades", "buy_sell", "raw_blocks", "quarantine"]) {
    const own = await ground.run(["sql", `select count(*) as n from ${name}`, "--json", ...flags]);
    expect([name, counted[name]]).toEqual([name, Number(JSON.parse(own.stdout)[0].n)]);
  }
}, 300_000);

async function countedByDuckDb(script: string): Promise<Record<string, number> | null> {
  const python = process.env["SLUICE_TEST_PYTHON"] ?? "python3";
  if (Bun.spawnSync([python, "-c", "import duckdb, duckdb_ext"]).exitCode !== 0) {
    process.stderr.write(
      "there is no Python with duckdb and duckdb-ext-{ducklake,httpfs,aws} here: the catalogue's script is not run\n",
    );
    return null;
  }
  const child = Bun.spawn([python, "-c", DUCKDB], {
    stdin: new Blob([script]),
    stdout: "pipe",
    stderr: "pipe",
    env: { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER", ...process.env },
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(stderr).toBe("");
  return JSON.parse(stdout);
}
