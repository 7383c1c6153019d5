import { isUtf8 } from 'node:buffer';
import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { type CallContext, EMPTY, encodeJson, type SyscallHandler } from './handler.js';

interface RegisterRequest {
  readonly name: string;
  readonly platform: string;
  readonly profile: string;
}

/** Front ends of capsules (ABI reference 2.3). */
export interface UplinkService {
  /** Returns the uplink's UUID. */
  register(fields: RegisterRequest, context: CallContext): string;
  /** False when the message could not be queued and is lost. */
  send(uplink: string, userId: string, content: string, context: CallContext): boolean;
}

interface SendRequest {
  readonly uplink: string;
  readonly userId: string;
  readonly content: string;
}

const PROFILES: Readonly<Record<string, string>> = {
  chat: 'chat',
  interactive: 'interactive',
  notify: 'notify',
  bridge: 'bridge',
  human: 'chat',
};
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const lossy = (bytes: Buffer | undefined) => (bytes ?? EMPTY).toString('utf8');

export function makeUplinkHandlers(uplinks: UplinkService) {
  const register: SyscallHandler<RegisterRequest> = {
    decode: ([name, platform, profile]) => ({
      name: takeLabel(lossy(name), 'name'),
      platform: takeLabel(lossy(platform).trim().toLowerCase(), 'platform'),
      profile: takeProfile(lossy(profile)),
    }),
    resource: ({ name, platform }) => `uplink:${platform}/${name}`,
    run: (request, context) => Buffer.from(uplinks.register(request, context)),
  };
  const send: SyscallHandler<SendRequest> = {
    decode: ([uplink, userId, content]) => ({
      uplink: takeId(lossy(uplink)),
      userId: lossy(userId),
      content: takeContent(content),
    }),
    resource: ({ uplink }) => `uplink:${uplink}`,
    run: ({ uplink, userId, content }, context) =>
      encodeJson(uplinks.send(uplink, userId, content, context) ? { ok: true } : { ok: false, dropped: true }),
  };
  return { astrid_uplink_register: register, astrid_uplink_send: send };
}

function takeLabel(text: string, field: string): string {
  if (text.trim() === '' || /\p{Cc}/u.test(text)) {
    throw new Fault('invalid_argument', `${field}: expected a text that is not blank, without control characters`, {
      field,
    });
  }
  return text;
}

function takeProfile(text: string): string {
  const name = text.toLowerCase();
  const profile = Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined;
  if (profile === undefined) {
    throw new Fault('invalid_argument', `profile: expected one of ${Object.keys(PROFILES).join(', ')}`, {
      field: 'profile',
    });
  }
  return profile;
}

function takeId(text: string): string {
  if (Buffer.byteLength(text) > LIMITS.uplinkIdBytesMax) {
    throw new Fault('too_large', `uplink: expected a UUID of at most ${LIMITS.uplinkIdBytesMax} bytes`, {
      field: 'uplink',
    });
  }
  const id = text.toLowerCase();
  if (!UUID.test(id)) throw new Fault('invalid_argument', 'uplink: expected a UUID', { field: 'uplink' });
  return id;
}

/** What is not UTF-8 counts as empty, as in the original. */
function takeContent(bytes: Buffer = EMPTY): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : '';
}
