/** `/api/kline/status` and `/api/kline/subscriptions`: who is connected to the Socket.IO namespace, and what they follow. */
import { Type as t } from "@sinclair/typebox";
import type { World } from "../../pipeline/world.ts";
import type { Route } from "../routes/route.ts";
import { enveloped } from "../routes/spin/envelope.ts";
import { KLINE_CONFIG } from "./messages.ts";
import type { KlineService } from "./service.ts";

const whole = t.Integer();

const Status = t.Object({
  enabled: t.Boolean(),
  service_status: t.Union([t.Literal("running"), t.Literal("disabled")]),
  stats: t.Object({
    active_connections: whole,
    total_subscriptions: whole,
    monitored_mints: whole,
    config: t.Object({
      connection_timeout: t.Integer({ description: "seconds" }),
      max_subscriptions_per_client: whole,
      ping_interval: t.Integer({ description: "seconds" }),
      ping_timeout: t.Integer({ description: "seconds" }),
    }),
  }),
});

const Subscriptions = t.Object({
  timestamp: t.Integer({ description: "Unix seconds" }),
  total_connections: whole,
  total_rooms: whole,
  clients: t.Array(
    t.Object({
      socket_id: t.String(),
      subscriptions: t.Array(t.String({ description: "mint:interval" })),
      subscription_count: whole,
      connection_duration_seconds: whole,
      last_activity_seconds_ago: whole,
      message_stats: t.Object({ kline_data_sent: whole, history_data_sent: whole, total_messages_sent: whole }),
    }),
  ),
  rooms: t.Array(
    t.Object({
      room_name: t.String(),
      mint: t.String(),
      interval: t.String(),
      subscriber_count: whole,
      subscribers: t.Array(t.String()),
    }),
  ),
});

/** `service` null: there is no live feed, so nothing is pushed. */
export function klineStatusRoutes(service: KlineService | null, world: Pick<World, "now">): Route[] {
  return [
    enveloped({
      method: "GET",
      path: "/api/kline/status",
      summary: "Whether candles are pushed over Socket.IO, and to how many",
      data: Status,
      empty: null,
      handle: () => statusOf(service),
    }),
    enveloped({
      method: "GET",
      path: "/api/kline/subscriptions",
      summary: "Every Socket.IO client and room",
      data: Subscriptions,
      empty: null,
      handle: () => subscriptionsOf(service, world.now()),
    }),
  ];
}

function statusOf(service: KlineService | null) {
  const wanted = [...(service?.clients.values() ?? [])].flatMap(({ subscriptions }) => [...subscriptions.values()]);
  return {
    enabled: service !== null,
    service_status: service === null ? "disabled" : "running",
    stats: {
      active_connections: service?.clients.size ?? 0,
      total_subscriptions: wanted.length,
      monitored_mints: new Set(wanted.map(({ symbol }) => symbol)).size,
      config: KLINE_CONFIG,
    },
  };
}

function subscriptionsOf(service: KlineService | null, now: number) {
  const seconds = (since: number) => Math.max(0, Math.floor((now - since) / 1000));
  const clients = [...(service?.clients ?? [])].map(([id, client]) => ({
    socket_id: id,
    subscriptions: [...client.subscriptions.keys()],
    subscription_count: client.subscriptions.size,
    connection_duration_seconds: seconds(client.since),
    last_activity_seconds_ago: seconds(client.activeAt),
    message_stats: {
      kline_data_sent: client.klineSent,
      history_data_sent: client.historySent,
      total_messages_sent: client.totalSent,
    },
  }));
  const rooms = [...(service?.rooms() ?? [])].flatMap(([name, members]) => {
    const [kind, mint = "", interval = ""] = name.split(":");
    if (kind !== "kline") return [];
    return [{ room_name: name, mint, interval, subscriber_count: members.size, subscribers: [...members] }];
  });
  return {
    timestamp: Math.floor(now / 1000),
    total_connections: clients.length,
    total_rooms: rooms.length,
    clients,
    rooms,
  };
}
