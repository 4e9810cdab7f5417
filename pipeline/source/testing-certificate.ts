/** A self-signed certificate for 127.0.0.1 and localhost, made anew for each test run so that no key lies in the project. */
import { createSign, generateKeyPairSync } from "node:crypto";

const TAG = { integer: 2, bits: 3, octets: 4, oid: 6, text: 12, time: 24, sequence: 0x30, set: 0x31 };

/** One DER element: tag, length, content. */
function der(tag: number, ...content: (Buffer | readonly number[])[]): Buffer {
  const body = Buffer.concat(content.map((part) => Buffer.from(part)));
  const [high, low] = [body.length >> 8, body.length & 0xff];
  const size = body.length < 128 ? [low] : body.length < 256 ? [0x81, low] : [0x82, high, low];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

const sequence = (...content: Buffer[]) => der(TAG.sequence, ...content);
const text = (value: string) => Buffer.from(value);

/** Key and certificate, PEM. Layout: RFC 5280, section 4.1. */
export function selfSignedCertificate(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ecdsaWithSha256 = sequence(der(TAG.oid, [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]));
  const name = sequence(der(TAG.set, sequence(der(TAG.oid, [0x55, 4, 3]), der(TAG.text, text("localhost")))));
  const forNames = sequence(der(0x82, text("localhost")), der(0x87, [127, 0, 0, 1]));
  const isAuthority = sequence(der(1, [0xff]));
  const extension = (oid: number, value: Buffer) => sequence(der(TAG.oid, [0x55, 0x1d, oid]), der(TAG.octets, value));
  const content = sequence(
    der(0xa0, der(TAG.integer, [2])),
    der(TAG.integer, [1]),
    ecdsaWithSha256,
    name,
    sequence(der(TAG.time, text("20200101000000Z")), der(TAG.time, text("21200101000000Z"))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(extension(0x11, forNames), extension(0x13, isAuthority))),
  );
  const signature = createSign("sha256").update(content).sign(privateKey);
  const bytes = sequence(content, ecdsaWithSha256, der(TAG.bits, [0], signature));
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n"),
  };
}
