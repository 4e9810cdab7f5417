/**
 * Goal: a package is read right or refused with a reason, whoever made it, and the module chosen from it carries the
 * params, network and hash it will run with. Method: packages made by hand and real ones, damaged at every part; the
 * module hash is checked against the Substreams library where that can compute it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createModuleGraph, createModuleHashHex } from "@substreams/core";
import { Package } from "@substreams/core/proto";
import { TEST_SEED } from "../../test/seed.ts";
import { SluiceError } from "../errors.ts";
import { seededRandom } from "../world.ts";
import { selectModule } from "./module.ts";
import { loadPackage, mapModules, parsePackage } from "./package.ts";
import { PACKAGE_LIMITS } from "./package-file.ts";
import { codeOf, moduleOf, parsed, testPackage } from "./testing.ts";
import { selfSignedCertificate } from "./testing-certificate.ts";

const REAL = join(import.meta.dir, "../../../shared/data/spkg");
const real = existsSync(REAL) ? (await readdir(REAL)).filter((name) => name.endsWith(".spkg")) : [];
if (real.length === 0) console.warn(`no real packages in ${REAL}: tests on them have nothing to check`);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "package-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("reading", () => {
  test("a whole package says what it is", () => {
    const read = parsed();
    expect(read).toMatchObject({ name: "test", version: "v1.2.3", network: "solana" });
    expect(mapModules(read.modules).map((module) => module.name)).toEqual(["map_other", "map_filtered", "map_events"]);
  });

  test("real packages are read, and their hashes are those of the Substreams library", async () => {
    for (const name of real.filter((file) => !file.startsWith("spkg1"))) {
      const read = await loadPackage(join(REAL, name));
      for (const module of mapModules(read.modules)) {
        const selected = selectModule(read, { module: module.name });
        expect(selected.initialBlock).toBe(Number(module.initialBlock));
        expect(`proto:${selected.typeName}`).toBe(module.kind.case === "kindMap" ? module.kind.value.outputType : "");
        const chain = [module, ...createModuleGraph(read.modules.modules).ancestorsOf(module)];
        // The library leaves filters out and knows no indexes.
        if (chain.some((m) => m.blockFilter !== undefined)) expect(selected.hash).toMatch(/^[0-9a-f]{40}$/);
        else expect(selected.hash).toBe(await createModuleHashHex(read.modules, module.name));
      }
    }
  });

  test("a package without modules is refused", async () => {
    for (const name of real.filter((file) => file.startsWith("spkg1"))) {
      const error = await codeOf(() => loadPackage(join(REAL, name)));
      expect(error).toMatchObject({ code: "PACKAGE_CORRUPT", kind: "fatal" });
      expect(error.message).toContain("no modules");
    }
    expect((await codeOf(() => parsed((proto) => delete proto.modules))).message).toContain("no modules");
  });

  test.each<[string, (proto: Package) => void, string]>([
    [
      "two modules of one name",
      (p) => {
        moduleOf(p, "map_other").name = "map_events";
      },
      "twice",
    ],
    [
      "a module without a name",
      (p) => {
        moduleOf(p, "map_other").name = "";
      },
      "no name",
    ],
    [
      "a module without a kind",
      (p) => {
        moduleOf(p, "map_other").kind = { case: undefined };
      },
      "no kind",
    ],
    [
      "a module without code",
      (p) => {
        moduleOf(p, "map_other").binaryIndex = 9;
      },
      "no code",
    ],
    [
      "an input that is not there",
      (p) => {
        moduleOf(p, "store_supply").inputs[0]!.input.value!.fromJson({ moduleName: "gone" });
      },
      "gone",
    ],
    [
      "a filter that is not there",
      (p) => {
        moduleOf(p, "map_filtered").blockFilter!.module = "gone";
      },
      "gone",
    ],
    [
      "modules that need each other",
      (p) => {
        moduleOf(p, "map_events").inputs[0]!.input.value!.fromJson({ moduleName: "map_events" });
      },
      "yclic",
    ],
    [
      "descriptions for other modules",
      (p) => {
        p.moduleMeta.pop();
      },
      "descriptions",
    ],
  ])("%s: refused", async (_, change, message) => {
    const error = await codeOf(() => parsed(change));
    expect(error).toMatchObject({ code: "PACKAGE_CORRUPT", where: "test.spkg" });
    expect(error.message).toContain(message);
  });

  test("cut anywhere, it is refused or complete but for what stands at its end", async () => {
    const bytes = testPackage().toBinary();
    expect((await codeOf(() => parsePackage(new Uint8Array(0), "x"))).message).toContain("empty");
    const essential = new Package({ ...testPackage(), network: "", networks: {} }).toBinary().length;
    for (let end = 1; end < bytes.length; end++) {
      if (end < essential) {
        expect(await codeOf(() => parsePackage(bytes.subarray(0, end), "x"))).toMatchObject({
          code: "PACKAGE_CORRUPT",
        });
      } else {
        onlyPackageErrors(() => selectModule(parsePackage(bytes.subarray(0, end), "x"), { module: "map_events" }));
      }
    }
    for (const name of real) {
      const whole = await readFile(join(REAL, name));
      for (let percent = 1; percent < 99; percent++) {
        const cut = whole.subarray(0, Math.floor((whole.length * percent) / 100));
        expect(await codeOf(() => parsePackage(cut, name))).toMatchObject({ code: "PACKAGE_CORRUPT" });
      }
    }
  });

  test("flipped bits are refused or harmless, never another error", async () => {
    const random = seededRandom(TEST_SEED);
    const samples: Uint8Array[] = [testPackage().toBinary()];
    for (const name of real) samples.push(await readFile(join(REAL, name)));
    for (const whole of samples) {
      for (let round = 0; round < 40; round++) {
        const damaged = Uint8Array.from(whole);
        // Structure is at the start and at the end; in between is code.
        const span = Math.min(whole.length, 4000);
        const near = Math.floor(random() * span);
        const at = random() < 0.5 ? near : whole.length - 1 - near;
        damaged[at]! ^= 1 << Math.floor(random() * 8);
        onlyPackageErrors(() => {
          const read = parsePackage(damaged, "x");
          selectModule(read, { module: mapModules(read.modules).at(-1)?.name ?? "" });
        });
      }
    }
  });

  test("small bytes that stand for much memory or depth are refused", async () => {
    // Two million empty messages of field 1 in 4 MB, and in field 6 as modules.
    const many = new Uint8Array(4_000_000);
    for (let i = 0; i < many.length; i += 2) many[i] = 0x0a;
    expect((await codeOf(() => parsePackage(many, "x"))).message).toContain("fields");
    const inModules = Buffer.concat([Uint8Array.of(0x32, 0x80, 0x92, 0xf4, 0x01), many]);
    expect((await codeOf(() => parsePackage(inModules, "x"))).message).toContain("fields");

    // Messages inside messages (FileDescriptorProto 4: message, DescriptorProto 3: nested), and groups inside groups.
    let nested: Uint8Array = new Uint8Array(0);
    for (let depth = 0; depth < 10_000; depth++) {
      const length = nested.length;
      const size =
        length < 128
          ? [length]
          : length < 16384
            ? [(length & 127) | 128, length >> 7]
            : [(length & 127) | 128, ((length >> 7) & 127) | 128, length >> 14];
      nested = Buffer.concat([Uint8Array.of(depth === 9_999 ? 0x0a : depth === 9_998 ? 0x22 : 0x1a, ...size), nested]);
    }
    expect((await codeOf(() => parsePackage(nested, "x"))).message).toContain("nested");
    expect(await codeOf(() => parsePackage(new Uint8Array(1_000_000).fill(0xa3), "x"))).toMatchObject({
      code: "PACKAGE_CORRUPT",
    });
  });
});

/** Runs what may fail, but only with an error that names the package as its cause. */
function onlyPackageErrors(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    expect(["PACKAGE_CORRUPT", "MODULE_PARAMS", "MODULE_UNKNOWN"]).toContain(error.code);
  }
}

describe("where packages come from", () => {
  const bytes = testPackage().toBinary();
  const serve = (answer: (request: Request) => Response | Promise<Response>, tls?: { key: string; cert: string }) =>
    Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer, ...(tls === undefined ? {} : { tls }) });

  test("a file, within the size limit", async () => {
    const path = join(folder, "whole.spkg");
    await writeFile(path, bytes);
    expect((await loadPackage(path)).name).toBe("test");
    expect(await codeOf(() => loadPackage(path, { ...PACKAGE_LIMITS, bytesMax: bytes.length - 1 }))).toMatchObject({
      code: "PACKAGE_TOO_LARGE",
    });
    for (const missing of [join(folder, "none.spkg"), folder, "/dev/zero", "common@v0.1.0"]) {
      expect(await codeOf(() => loadPackage(missing))).toMatchObject({ code: "PACKAGE_MISSING", where: missing });
    }
  });

  test("https, and http on this machine; a redirect may follow", async () => {
    const tls = selfSignedCertificate();
    const secure = serve(() => new Response(bytes), tls);
    const plain = serve((request) =>
      request.url.endsWith("/moved")
        ? new Response(null, { status: 302, headers: { location: "/package" } })
        : new Response(bytes),
    );
    try {
      expect((await loadPackage(`http://127.0.0.1:${plain.port}/package`)).name).toBe("test");
      expect((await loadPackage(`http://localhost:${plain.port}/moved`)).name).toBe("test");
      const url = `https://127.0.0.1:${secure.port}/package.spkg`;
      expect((await loadPackage(url, { ...PACKAGE_LIMITS, ca: tls.cert })).name).toBe("test");
      expect(await codeOf(() => loadPackage(url))).toMatchObject({ code: "PACKAGE_DOWNLOAD", kind: "transient" });
    } finally {
      await Promise.all([secure.stop(true), plain.stop(true)]);
    }
  });

  test("nothing else: no plain http elsewhere, no other schemes, no redirect away, no endless ones", async () => {
    const to = (location: string) => () => new Response(null, { status: 301, headers: { location } });
    const away = serve(to("http://packages.example/x.spkg"));
    const loop = serve(to("/again"));
    const file = serve(to("file:///etc/hostname"));
    try {
      for (const location of [
        "http://packages.example/x.spkg",
        "ftp://packages.example/x.spkg",
        "file:///etc/hostname",
        `http://127.0.0.1:${away.port}/`,
        `http://127.0.0.1:${loop.port}/`,
        `http://127.0.0.1:${file.port}/`,
      ]) {
        expect(await codeOf(() => loadPackage(location))).toMatchObject({ code: "PACKAGE_LOCATION", kind: "fatal" });
      }
    } finally {
      await Promise.all([away.stop(true), loop.stop(true), file.stop(true)]);
    }
  });

  test("size, time and status are watched while downloading", async () => {
    const zeros = new Uint8Array(100_000);
    const endless = serve(() => new Response(new ReadableStream({ pull: (out) => out.enqueue(zeros) })));
    const bomb = serve(
      () => new Response(Bun.gzipSync(new Uint8Array(50_000_000)), { headers: { "content-encoding": "gzip" } }),
    );
    const silent = serve(() => new Promise<Response>(() => undefined));
    const status = serve(
      (request) => new Response("secret", { status: Number(new URL(request.url).pathname.slice(1)) }),
    );
    const load = (port: number | undefined, path = "", timeoutMs = 60_000) =>
      codeOf(() => loadPackage(`http://127.0.0.1:${port}/${path}`, { bytesMax: 1_000_000, timeoutMs }));
    try {
      expect(await load(endless.port)).toMatchObject({ code: "PACKAGE_TOO_LARGE" });
      expect(await load(bomb.port)).toMatchObject({ code: "PACKAGE_TOO_LARGE" });
      expect(await load(silent.port, "", 300)).toMatchObject({ code: "PACKAGE_DOWNLOAD", kind: "transient" });
      expect(await load(status.port, "404?key=hidden")).toMatchObject({
        code: "PACKAGE_MISSING",
        where: `http://127.0.0.1:${status.port}/404`,
      });
      expect(await load(status.port, "503")).toMatchObject({ code: "PACKAGE_DOWNLOAD", kind: "transient" });
    } finally {
      await Promise.all([endless, bomb, silent, status].map((server) => server.stop(true)));
    }
    expect(await load(silent.port)).toMatchObject({ code: "PACKAGE_DOWNLOAD", kind: "transient" });
  });
});
