import { register, send, type UplinkProfile } from './uplink.js';

/** An uplink as a capsule declares it: registered before `run` begins. */
export interface UplinkSource {
  readonly name: string;
  register(): void;
  /** Hands in what a person said; false when the queue was full and it was dropped. Limits as `uplink.send`. */
  send(platformUserId: string, content: string): boolean;
}

/** Declares an uplink: `defineCapsule({ uplinks: [telegram], run() { … telegram.send(user, text) … } })`. */
export function uplink(definition: { name: string; platform: string; profile: UplinkProfile }): UplinkSource {
  let id: string | undefined;
  return {
    name: definition.name,
    register() {
      id ??= register(definition.name, definition.platform, definition.profile);
    },
    send(platformUserId, content) {
      if (id === undefined) throw new Error(`the uplink ${definition.name} is not registered: is it in defineCapsule?`);
      return send(id, platformUserId, content);
    },
  };
}
