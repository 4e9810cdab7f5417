/** One contender in a process of its own: `bun contender.ts NAME FILE TYPE`. */
import bs58 from "bs58";
import { DEFAULT_PROGRAM } from "../../simulator/index.ts";
import { passesPerSecond, report } from "../harness.ts";
import { DigestVisitor, type Extractor } from "./extract.ts";
import { readFrames } from "./frames.ts";

const WARM_UP_PASSES = 3;

/** Libraries are loaded by those who use them, so that memory is compared fairly, too. */
async function extractorOf(name: string, program: Uint8Array, typeName: string): Promise<Extractor> {
  if (name === "ours") {
    const { OurExtractor } = await import("./ours.ts");
    return new OurExtractor(program, typeName);
  }
  const { PeerExtractor, protobufEsDecoder, protobufjsDecoder } = await import("./peers.ts");
  const { LEAN_SCHEMA, SCHEMA } = await import("./schema.ts");
  if (name === "protobuf-es v1") return new PeerExtractor(program, protobufEsDecoder(typeName));
  return new PeerExtractor(program, protobufjsDecoder(typeName, name === "protobufjs" ? SCHEMA : LEAN_SCHEMA));
}

const [name = "ours", file = "", typeName = ""] = process.argv.slice(2);
const payloads = await readFrames(file);
const extractor = await extractorOf(name, bs58.decode(DEFAULT_PROGRAM), typeName);
const digest = new DigestVisitor();
for (const payload of payloads) extractor.visit(payload, digest);

let checksum = 0;
const pass = () => {
  checksum = 0;
  for (const payload of payloads) checksum += extractor.checksum(payload);
};
for (let i = 0; i < WARM_UP_PASSES; i++) pass();
const megabytes = payloads.reduce((sum, payload) => sum + payload.length, 0) / 1e6;
report(megabytes * passesPerSecond(pass), `${digest.finish()} ${checksum}`);
