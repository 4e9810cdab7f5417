/**
 * Blocks that are not archived yet were decoded by whoever ran before, and lie in EVENTS and LANES as they were decoded.
 * While the archive is held still, both are begun anew: the decoders of today fill them again from BLOCKS, from where their
 * consumers stand. So what the lake gets from now on is right, and hot stores that are made anew get the same.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Deployment } from "../../pipeline/deployment.ts";
import { Transient } from "../../pipeline/errors.ts";
import { Lease } from "../../pipeline/leases.ts";
import { names, type StageName } from "../../pipeline/names.ts";

const HAND_OVER_MS = 45_000;
/** A stream that has not moved for so long will not. */
const PATIENCE_MS = 60_000;

/** Runs `action` while nobody archives. It is handed what begins EVENTS and LANES anew, to be called before it changes the lake. */
export async function whileArchiveRests<T>(
  d: Deployment,
  signal: AbortSignal,
  action: (renewEvents: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const n = names(d.config["nats.prefix"], d.source);
  const node = `redecode-${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`.replaceAll(/[^\w-]/g, "-");
  const ttlMs = d.config["lease.ttlMs"];
  const bucket = d.control.leases(ttlMs);
  const lease = new Lease(n.unit("archive"), { bucket, node, ttlMs, world: d.world, isFirstInLine: () => true });
  await lease.claim(HAND_OVER_MS, signal);
  const renewing = setInterval(() => void lease.renew(), ttlMs / 4);
  try {
    const lanes = Array.from({ length: d.config.lanes }, (_, lane) => n.unit("lane", lane));
    return await action(async () => {
      await renew(d, { ...n.events, by: "decode", consumers: [n.unit("shard"), n.unit("archive")] }, signal);
      await renew(d, { stream: n.lanes.stream, subject: n.lanes.subject(0), by: "shard", consumers: lanes }, signal);
    });
  } finally {
    clearInterval(renewing);
    await lease.release();
  }
}

interface Renewed {
  readonly stream: string;
  readonly subject: string;
  /** The stage that fills it. */
  readonly by: StageName;
  /** The units that read it. */
  readonly consumers: readonly string[];
}

/**
 * Has a stream filled anew by the stage that fills it, and waits until it is as far as it was; or until all who read it are
 * past that: then nothing is filled in, and it is empty until the chain goes on.
 */
async function renew(d: Deployment, { stream, subject, by, consumers }: Renewed, signal: AbortSignal): Promise<void> {
  const { control, broker, world, source } = d;
  const units = (await control.nodes()).flatMap((node) => node.units);
  const isFilled = units.some(({ stage, source: own, state }) => {
    return stage === by && own === source && state !== "waiting" && state !== "stopped";
  });
  if (!isFilled) {
    // Whoever fills it next finds it empty, and begins where its consumers stand.
    await broker.purge(stream);
    return;
  }
  const standsAt = async () => (await broker.header(stream, { lastOn: subject }))?.header.next.slot ?? -1;
  const before = await standsAt();
  const isPassed = async () => {
    const standings = await Promise.all(consumers.map((unit) => control.standing(unit)));
    return standings.every((standing) => (standing?.position?.slot ?? -1) >= before);
  };
  await control.requestReplay(stream, "redecode", null);
  let at = -2;
  let movedAt = world.monotonic();
  for (;;) {
    const isAsked = (await control.replayRequest(stream)) !== null;
    const now = isAsked ? -2 : await standsAt();
    if (!isAsked && (now >= before || (await isPassed()))) return;
    if (now !== at) movedAt = world.monotonic();
    at = now;
    if (world.monotonic() - movedAt > PATIENCE_MS) {
      throw new Transient(
        "REDECODE_RENEW",
        `${stream} is not filled anew: it stands at slot ${at}, and was at ${before}`,
        {
          where: stream,
          hint: "See what stands still in `GET /v1/stages`, then try again.",
        },
      );
    }
    await world.sleep(200, signal);
  }
}
