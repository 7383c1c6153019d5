import { astrid_check_capsule_capability, astrid_elicit, astrid_has_secret, astrid_identity_create_user, astrid_identity_link, astrid_identity_list_links, astrid_identity_resolve, astrid_identity_unlink, astrid_request_approval, astrid_uplink_register, astrid_uplink_send } from "./calls";
import { Json } from "./json";
import { Arguments, Result } from "./result";

/** Asks the person of this session, at most 60 s; nobody there means not approved. Action: at most 256 characters. */
export function requestApproval(action: string, resource: string, riskLevel: string): Result<bool> {
  const a = new Arguments();
  const body = Json.object().setText("action", action).setText("resource", resource).setText("risk_level", riskLevel);
  const reply = a.reply(astrid_request_approval(a.text(body.toString()))).json();
  const error = reply.error;
  return error === null ? Result.of<bool>(reply.value.bool("approved")) : Result.failed<bool>(error);
}

/** A question at install or upgrade: `type`, `key`, `description`, `options`, `default`. Waits at most 120 s. */
export function elicit(question: Json): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_elicit(a.text(question.toString()))).json();
}

/** Whether a secret of this name is stored; no call gives out its value. At most 4 KiB, without `:`. */
export function hasSecret(key: string): Result<bool> {
  const a = new Arguments();
  const reply = a.reply(astrid_has_secret(a.text(Json.object().setText("key", key).toString()))).json();
  const error = reply.error;
  return error === null ? Result.of<bool>(reply.value.bool("exists")) : Result.failed<bool>(error);
}

/** An uplink's UUID. Fields at most 512 bytes, 32 uplinks a capsule. Profile: chat, interactive, notify, bridge. */
export function registerUplink(name: string, platform: string, profile: string): Result<string> {
  const a = new Arguments();
  return a.reply(astrid_uplink_register(a.text(name), a.text(platform), a.text(profile))).text();
}

/** What a person on the platform said, at most 1 MiB. False: the queue (128) is full and it was dropped. */
export function sendUplink(uplink: string, userId: string, content: string): Result<bool> {
  const a = new Arguments();
  const reply = a.reply(astrid_uplink_send(a.text(uplink), a.text(userId), a.text(content))).json();
  const error = reply.error;
  return error === null ? Result.of<bool>(reply.value.bool("ok")) : Result.failed<bool>(error);
}

function account(platform: string, userId: string): Json {
  return Json.object().setText("platform", platform).setText("platform_user_id", userId);
}

/** `found`, `user_id`, `display_name`. Needs `identity = ["resolve"]`. */
export function resolveIdentity(platform: string, userId: string): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_identity_resolve(a.text(account(platform, userId).toString()))).json();
}

/** `ok`, `link`, `error`. Needs `link`. */
export function linkIdentity(platform: string, userId: string, person: string, method: string): Result<Json> {
  const a = new Arguments();
  const body = account(platform, userId).setText("astrid_user_id", person).setText("method", method);
  return a.reply(astrid_identity_link(a.text(body.toString()))).json();
}

/** `ok`, `removed`, `error`. Needs `link`. */
export function unlinkIdentity(platform: string, userId: string): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_identity_unlink(a.text(account(platform, userId).toString()))).json();
}

/** `ok`, `user_id`, `error`. Needs `admin`. */
export function createUser(displayName: string): Result<Json> {
  const a = new Arguments();
  const body = displayName.length == 0 ? Json.object() : Json.object().setText("display_name", displayName);
  return a.reply(astrid_identity_create_user(a.text(body.toString()))).json();
}

/** `ok`, `links`, `error`. Needs `link`. */
export function listLinks(person: string): Result<Json> {
  const a = new Arguments();
  return a.reply(astrid_identity_list_links(a.text(Json.object().setText("astrid_user_id", person).toString()))).json();
}

/** Whether the sender of a message holds a capability; the kernel answers for `allow_prompt_injection` alone. */
export function hasCapability(sourceId: string, capability: string): Result<bool> {
  const a = new Arguments();
  const body = Json.object().setText("source_uuid", sourceId).setText("capability", capability);
  const reply = a.reply(astrid_check_capsule_capability(a.text(body.toString()))).json();
  const error = reply.error;
  return error === null ? Result.of<bool>(reply.value.bool("allowed")) : Result.failed<bool>(error);
}
