/** Goal: credentials in addresses are used, and never shown. Method: addresses as people write them. */
import { describe, expect, test } from "bun:test";
import { parseNatsUrl, withoutSecrets } from "./addresses.ts";

describe("NATS addresses", () => {
  test.each([
    ["nats://127.0.0.1:4222", { servers: ["nats://127.0.0.1:4222"] }],
    ["host", { servers: ["host"] }],
    ["nats://ann:pa55@host:1", { servers: ["nats://host:1"], user: "ann", password: "pa55" }],
    ["ann:pa55@host", { servers: ["host"], user: "ann", password: "pa55" }],
    ["tls://s3cret@host", { servers: ["tls://host"], token: "s3cret" }],
    ["nats://a%40b:p%2Fw@host", { servers: ["nats://host"], user: "a@b", password: "p/w" }],
    ["nats://ann:p@/w:100%@host", { servers: ["nats://host"], user: "ann", password: "p@/w:100%" }],
    ["nats://h1, nats://ann:pa55@h2", { servers: ["nats://h1", "nats://h2"], user: "ann", password: "pa55" }],
  ])("%s", (text, address) => {
    expect(parseNatsUrl(text)).toEqual(address);
  });
});

describe("what is shown", () => {
  test.each([
    ["nats://ann:pa55@h1:1,nats://h2", "nats://***@h1:1,nats://h2"],
    ["ann:pa55@host", "***@host"],
    ["nats://ann:pa/5@5@host", "nats://***@host"],
    ["https://bucket/x.spkg?X-Signature=abc&d=e", "https://bucket/x.spkg?***"],
    ["https://ann:pa55@host/x.spkg?y", "https://***@host/x.spkg?***"],
    ["./what?.spkg", "./what?.spkg"],
    ["", ""],
  ])("%s", (text, shown) => {
    expect(withoutSecrets(text)).toBe(shown);
  });
});
