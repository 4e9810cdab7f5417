/**
 * Goal: tokens get their metadata without anybody waiting, and no `uri` becomes a way into the network. Method: a real
 * server on loopback as the operator's gateway and as the target that must not be reached; names resolve as the test says.
 */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { classify } from "../../pipeline/errors.ts";
import { type Address, fetchDocument } from "./fetch.ts";
import { TokenMetadata } from "./metadata.ts";
import { isPublicAddress } from "./public-address.ts";
import { addressFor, metadataIn } from "./uri.ts";

const CID = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKxcBd";
let asked: string[] = [];
let failures = 0;
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch(request) {
    const url = new URL(request.url);
    asked.push(url.pathname);
    if (failures > 0) return new Response("later", { status: 503 + 0 * failures-- });
    if (url.pathname.startsWith("/to/")) return Response.redirect(decodeURIComponent(url.pathname.slice(4)), 302);
    if (url.pathname === "/large") return new Response("x".repeat(300_000));
    if (url.pathname === "/slow") return new Response(new ReadableStream({ pull: () => Bun.sleep(10_000) }));
    if (url.pathname === "/gone") return new Response("", { status: 404 });
    return Response.json({ name: "Dog", symbol: "DOG", description: 5, showName: true, secret: "x", twitter: "t" });
  },
});
const own = `127.0.0.1:${server.port}`;
const folder = mkdtempSync(join(tmpdir(), "metadata-"));
afterAll(() => {
  server.stop(true);
  rmSync(folder, { recursive: true });
});
beforeEach(() => {
  asked = [];
  failures = 0;
});

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "fetched",
    (error) => classify(error).code,
  );
const resolveTo =
  (...addresses: string[]) =>
  async (): Promise<Address[]> =>
    addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));

describe("no way into the network", () => {
  const PRIVATE = [
    ...["127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"],
    ...["0.0.0.0", "100.64.0.1", "100.127.255.255", "192.0.0.8", "198.18.0.1", "198.19.255.255", "224.0.0.1"],
    ...["255.255.255.255", "240.0.0.1", "192.0.2.1", "198.51.100.9", "203.0.113.7"],
    ...[
      "::1",
      "::",
      "::ffff:127.0.0.1",
      "::ffff:8.8.8.8",
      "fe80::1",
      "fc00::1",
      "fd12::1",
      "ff02::1",
      "64:ff9b::a00:1",
    ],
    ...["2002:7f00:1::", "2001:db8::1", "2001::1", "::127.0.0.1", "localhost", "", "1.2.3"],
  ];
  const PUBLIC = ["8.8.8.8", "1.1.1.1", "172.15.0.1", "172.32.0.1", "100.63.0.1", "2606:4700::1111", "2a00:1450::1"];
  test("which addresses are public", () => {
    expect(PRIVATE.filter(isPublicAddress)).toEqual([]);
    expect(PUBLIC.filter((address) => !isPublicAddress(address))).toEqual([]);
  });

  const inside = [
    `http://${own}/`,
    ...["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://0x7f000001/"],
    ...["http://2130706433/", "http://0177.0.0.1/", "http://127.1/", "http://169.254.169.254/latest/meta-data/"],
    ...["http://user:pw@example.com/", "https://example.com:8443/", "ftp://example.com/", "file:///etc/passwd", "x"],
  ];
  for (const url of inside) {
    test(`${url} is not asked`, async () => {
      const resolve = resolveTo("127.0.0.1");
      expect(await codeOf(fetchDocument(url, { resolve }))).toBe("METADATA_ADDRESS");
      expect(asked).toEqual([]);
    });
  }

  test("a name with one private address among public ones is not asked", async () => {
    for (const resolve of [resolveTo("8.8.8.8", "10.0.0.1"), resolveTo("fe80::1"), resolveTo("::ffff:10.0.0.1")]) {
      expect(await codeOf(fetchDocument("http://rebind.example/", { resolve }))).toBe("METADATA_ADDRESS");
    }
  });

  test("the connection goes to the address that was judged: a name is resolved once", async () => {
    let resolved = 0;
    const resolve = async () => [{ address: resolved++ === 0 ? "127.0.0.1" : "127.0.0.2", family: 4 }];
    // No such name exists: only what was resolved here can be connected to. Loopback is allowed for this test alone.
    const trustedHost = `rebind.example:${server.port}`;
    expect(await codeOf(fetchDocument(`http://${trustedHost}/fine`, { resolve, trustedHost }))).toBe("fetched");
    expect({ resolved, asked }).toEqual({ resolved: 1, asked: ["/fine"] });
  });

  test("a redirect is judged like an address of its own; the operator's gateway may be inside, what it points at not", async () => {
    for (const target of ["http://10.0.0.1/", "http://localhost/x", "file:///etc/passwd", "//[::1]/"]) {
      asked = [];
      const url = `http://${own}/to/${encodeURIComponent(target)}`;
      expect(await codeOf(fetchDocument(url, { trustedHost: own }))).toBe("METADATA_ADDRESS");
      expect(asked).toHaveLength(1);
    }
    const again = `http://${own}/to/${encodeURIComponent(`http://${own}/fine`)}`;
    expect(await codeOf(fetchDocument(again, { trustedHost: own }))).toBe("fetched");
    let loop = `http://${own}/fine`;
    for (let n = 0; n < 4; n++) loop = `http://${own}/to/${encodeURIComponent(loop)}`;
    expect(await codeOf(fetchDocument(loop, { trustedHost: own }))).toBe("METADATA_REDIRECTS");
  });

  test("too large, too slow, gone", async () => {
    const fetching = (path: string, limits = {}) =>
      codeOf(fetchDocument(`http://${own}${path}`, { trustedHost: own, limits }));
    expect(await fetching("/large")).toBe("METADATA_SIZE");
    expect(await fetching("/slow", { timeoutMs: 300 })).toBe("METADATA_TIMEOUT");
    expect(await fetching("/gone")).toBe("METADATA_STATUS");
  });
});

test("what a uri names", () => {
  const gateway = "https://gate.example/ipfs";
  const through = `https://gate.example/ipfs/${CID}`;
  for (const uri of [`ipfs://${CID}`, `https://ipfs.io/ipfs/${CID}?x=1#y`, `ipfs://ipfs/${CID}`, `/ipfs/${CID}/`]) {
    expect({ uri, address: addressFor(uri, gateway) }).toEqual({ uri, address: through });
  }
  expect(addressFor(`ipfs://${CID}/meta.json`, gateway)).toBe(`${through}/meta.json`);
  expect(addressFor("https://example.com/a.json", gateway)).toBe("https://example.com/a.json");
  for (const uri of [
    "",
    "x",
    "ipfs://../../admin",
    `ipfs://${CID}/../../x`,
    "ipfs://a@b",
    "javascript:alert(1)",
    "data:,x",
  ]) {
    expect({ uri, address: addressFor(uri, gateway) }).toEqual({ uri, address: null });
  }
});

test("known fields are told, of their type, and no others", () => {
  const none = { name: null, symbol: null, description: null, image: null, createdOn: null, twitter: null };
  const rest = { website: null, telegram: null, showName: null };
  expect(metadataIn('{"name":"a","symbol":1,"__proto__":{"image":"x"},"more":"m"}')).toEqual({
    ...none,
    ...rest,
    name: "a",
  });
  for (const text of ["", "[]", "null", "1", '"x"', "{"]) expect(metadataIn(text)).toBeNull();
  expect(metadataIn(JSON.stringify({ name: "x".repeat(10_000) }))?.["name"]).toHaveLength(4_096);
});

describe("in the background", () => {
  const dog = { name: "Dog", symbol: "DOG", showName: true, twitter: "t", description: null };
  let now = 1_000;
  const make = (file = ":memory:") =>
    new TokenMetadata({
      file,
      gateway: `http://${own}/ipfs/`,
      world: { now: () => now, sleep: async () => undefined },
      log: () => undefined,
    });

  test("asked for, it is fetched once for all, and kept over restarts", async () => {
    const file = join(folder, "metadata.sqlite");
    const metadata = make(file);
    for (let n = 0; n < 5; n++) expect(metadata.of(`ipfs://${CID}`)).toBeNull();
    await metadata.idle();
    expect(metadata.of(`ipfs://${CID}`)).toMatchObject(dog);
    expect(metadata.of(null)).toBeNull();
    expect(metadata.revision).toBe(1);
    await metadata.close();
    const again = make(file);
    expect(again.of(`ipfs://${CID}`)).toMatchObject(dog);
    await again.close();
    expect(asked).toEqual([`/ipfs/${CID}`]);
  });

  test("three tries, and hours later three more", async () => {
    const metadata = make();
    failures = 2;
    metadata.of(`ipfs://${CID}`);
    await metadata.idle();
    expect(metadata.of(`ipfs://${CID}`)).toMatchObject(dog);
    expect(asked).toHaveLength(3);

    asked = [];
    failures = 3;
    metadata.of(`ipfs://${CID}/other`);
    await metadata.idle();
    expect(metadata.of(`ipfs://${CID}/other`)).toBeNull();
    await metadata.idle();
    expect(asked).toHaveLength(3);
    now += 7 * 3_600_000;
    metadata.of(`ipfs://${CID}/other`);
    await metadata.idle();
    expect(metadata.of(`ipfs://${CID}/other`)).toMatchObject(dog);
    await metadata.close();
  });

  test("many at once are fetched a few at a time, each once", async () => {
    const metadata = make();
    const uris = Array.from({ length: 50 }, (_, n) => `ipfs://${CID}/${n}`);
    for (const uri of [...uris, ...uris]) metadata.of(uri);
    await metadata.idle();
    expect(uris.filter((uri) => metadata.of(uri) === null)).toEqual([]);
    expect(asked.toSorted()).toEqual(uris.map((uri) => uri.replace("ipfs://", "/ipfs/")).toSorted());
    await metadata.close();
  });
});
