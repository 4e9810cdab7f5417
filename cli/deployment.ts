/** Puts a deployment together from its settings: the composition root that all commands share. */
import { mkdir } from "node:fs/promises";
import { Broker } from "../pipeline/broker.ts";
import type { Config } from "../pipeline/config.ts";
import { Control } from "../pipeline/control.ts";
import type { Deployment } from "../pipeline/deployment.ts";
import { ensureEmbeddedNats, releaseEmbeddedNats } from "../pipeline/embedded-nats.ts";
import { Fatal } from "../pipeline/errors.ts";
import { LIMITS } from "../pipeline/limits.ts";
import { liveEncoder } from "../pipeline/live-message.ts";
import { logFor } from "../pipeline/log.ts";
import { Quiet } from "../pipeline/quiet.ts";
import { streams } from "../pipeline/topology.ts";
import { blockCodec, rowCodec } from "../pipeline/wire/message.ts";
import { remembering } from "../pipeline/wire/remembering.ts";
import { systemWorld } from "../pipeline/world.ts";
import { laneFile } from "../storage/hot/file.ts";
import { folders } from "./folders.ts";
import { holdLanes } from "./lanes.ts";
import { closeWhenTold } from "./signals.ts";

export interface Connection {
  readonly broker: Broker;
  readonly control: Control;
  close(): Promise<void>;
}

/** Connects to the configured NATS server, or to the folder's own, which is started and kept alive while we run. */
export async function connectBroker(config: Config, name: string): Promise<Connection> {
  const world = systemWorld;
  const log = logFor("nats");
  const url = config["nats.url"];
  if (url !== "") {
    const secret = (value: string) => (value === "" ? undefined : value);
    const token = secret(config["nats.token"]);
    const user = secret(config["nats.user"]);
    const password = secret(config["nats.password"]);
    const broker = await Broker.connect({
      url,
      name,
      replicas: config["nats.replicas"],
      ...(token === undefined ? {} : { token }),
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
    });
    return { broker, control: new Control(broker, config["nats.prefix"]), close: () => broker.close() };
  }
  const folder = folders(config).nats;
  const server = await ensureEmbeddedNats(folder, world);
  const broker = await Broker.connect({ url: server.url, token: server.token, name });
  log("debug", "connected to the embedded nats-server", { url: server.url, pid: server.pid });
  const closing = new AbortController();
  const guarding = keepAlive(broker, folder, closing.signal);
  const close = async () => {
    closing.abort();
    await broker.close();
    await guarding;
    await releaseEmbeddedNats(folder, world);
  };
  const unheard = closeWhenTold(close);
  return {
    broker,
    control: new Control(broker, config["nats.prefix"]),
    close: () => close().finally(unheard),
  };
}

/** Starts the embedded server again when it dies; clients reconnect to the same port by themselves. */
async function keepAlive(broker: Broker, folder: string, signal: AbortSignal): Promise<void> {
  const log = logFor("nats");
  for await (const status of broker.connection.status()) {
    if (signal.aborted) return;
    if (status.type !== "disconnect" && status.type !== "reconnecting") continue;
    try {
      await ensureEmbeddedNats(folder, systemWorld);
    } catch (error) {
      log("warning", "the embedded nats-server is down", { reason: (error as Error).message });
    }
  }
}

/** A full deployment: decoders, streams, stores. Only processes that run stages need one. `quiet`: that of all that they run. */
export async function openDeployment(
  config: Config,
  connection: Connection,
  quiet: Quiet = new Quiet(systemWorld),
): Promise<Deployment> {
  const [{ decodersFor }, { HotStore }, { openSource }] = await Promise.all([
    import("./programs.ts"),
    import("../storage/hot/store.ts"),
    import("./source.ts"),
  ]);
  const { broker, control } = connection;
  const paths = folders(config);
  await holdLanes(config, control);
  for (const path of [paths.hot, paths.temp]) await mkdir(path, { recursive: true });
  const { programs, maps, effects, catalog } = await decodersFor(config);
  const codec = rowCodec(catalog);
  if (broker.maxPayload < LIMITS.messageBytesMax + 64 * 1024) {
    throw new Fatal(
      "NATS_MAX_PAYLOAD",
      `the NATS server takes messages of ${broker.maxPayload} bytes, ${LIMITS.messageBytesMax + 65_536} are needed`,
      {
        where: "nats.url",
        hint: "Raise max_payload in the server's configuration to 1MB (its default) or more.",
      },
    );
  }
  const deployment: Deployment = {
    config,
    source: config["source.name"],
    programs,
    maps,
    effects,
    catalog,
    blockCodec: remembering(blockCodec, LIMITS.rememberedBytesMax),
    rowCodec: codec,
    rollLimits: {
      rows: config["archive.rollRows"],
      bytes: config["archive.rollBytes"],
      seconds: config["archive.rollSeconds"],
    },
    broker,
    control,
    world: systemWorld,
    quiet,
    log: logFor("stages"),
    openSource: (log, settings = {}) => openSource({ ...config, ...settings }, systemWorld, log),
    openHotStore: (lane) =>
      new HotStore({
        file: laneFile(paths.hot, lane),
        lane: { lane, lanes: config.lanes },
        catalog,
        encodeLive: liveEncoder(catalog, systemWorld),
      }),
    restoreLane: async (lane, context) =>
      (await import("./rebuild/needed.ts")).restoreIfNeeded(deployment, lane, context),
    // DuckDB is loaded only where the archive runs.
    openLake: async (log, lineage, datasets = [...catalog.values()]) =>
      (await import("./lake.ts")).openLake(config, datasets, control, log, quiet, lineage),
    lakeProof: once(async () => {
      const [{ LakeProof }, { lakeStore }] = await Promise.all([
        import("../storage/lake/proof.ts"),
        import("./lake.ts"),
      ]);
      return new LakeProof(await lakeStore(config), config["source.name"]);
    }),
    lake: async () => (await import("./lake.ts")).lakeStore(config),
    spooledSegments: async () => (await import("./lake.ts")).spooledSegments(config),
  };
  for (const spec of streams(deployment)) await broker.ensureStream(spec);
  return deployment;
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => {
    made ??= make().catch((error) => {
      made = null;
      throw error;
    });
    return made;
  };
}
