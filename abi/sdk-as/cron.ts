import { astrid_cron_cancel, astrid_cron_schedule } from "./calls";
import { Json } from "./json";
import { Arguments, Nothing, Result } from "./result";

/** A durable timer that calls `astrid_cron_trigger`. Name and schedule at most 4 KiB, payload at most 1 MiB. Needs `cron`. */
export function schedule(name: string, when: string, payload: Json): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_cron_schedule(a.text(name), a.text(when), a.text(payload.toString()))).nothing();
}

export function cancel(name: string): Result<Nothing> {
  const a = new Arguments();
  return a.reply(astrid_cron_cancel(a.text(name))).nothing();
}
