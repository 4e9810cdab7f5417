/** The settings of the decoders' alarms; see `config.ts`. */
import { DEFAULT_ALARM_RULES } from "./alarm.ts";
import { integer, type Knob, text } from "./config-knob.ts";

export const ALARM_KNOBS = {
  "alarm.sharePercent": integer(
    DEFAULT_ALARM_RULES.sharePercent,
    "percent",
    0,
    100,
    "Alarm when fewer of a program's payloads are understood, over five minutes of block time. 0: never.",
  ),
  "alarm.dropPercent": integer(
    DEFAULT_ALARM_RULES.dropPercent,
    "percent points",
    1,
    100,
    "Alarm when the share of five minutes is so much lower than that of an hour.",
  ),
  "alarm.payloads": integer(
    DEFAULT_ALARM_RULES.payloads,
    "payloads",
    1,
    1_000_000,
    "Payloads of a program that five minutes must hold before their share is judged.",
  ),
  "alarm.webhook": text("", "Where alarms are posted as JSON, http(s)://... Empty: nowhere.", {
    env: ["SLUICE_ALARM_WEBHOOK"],
    // Chat services put the credential into the path.
    secret: true,
    check: (value) => (value === "" || isHttpUrl(value) ? null : "an http(s) address"),
  }),
  "alarm.webhookToken": text("", "Sent to alarm.webhook as `Authorization: Bearer ...`.", {
    env: ["SLUICE_ALARM_WEBHOOK_TOKEN"],
    secret: true,
  }),
} as const satisfies Record<string, Knob>;

function isHttpUrl(value: string): boolean {
  return URL.canParse(value) && /^https?:$/.test(new URL(value).protocol);
}
