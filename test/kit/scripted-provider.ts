import type { CapsuleManifest } from '../../abi/manifest.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { bundleGuestSource } from './guest-bundle.js';

/** What the provider streams for its nth request; after the last entry, the last one again. */
export type Scripted = readonly unknown[];

export const text = (words: string): Scripted => [{ TextDelta: words }, 'Done'];

export const calls = (...list: readonly { id: string; name: string; args: string }[]): Scripted => [
  ...list.flatMap(({ id, name, args }) => [
    { ToolCallStart: { id, name } },
    { ToolCallDelta: { id, args_delta: args } },
    { ToolCallEnd: { id } },
  ]),
  'Done',
];

/** A provider capsule that says what a test wants, as a manifest and a script for `GuestKernel.install`. */
export async function scriptProvider(
  answers: readonly Scripted[],
  name = 'scripted',
): Promise<[CapsuleManifest, string]> {
  const manifest = parseManifest(`
    [package]
    name = "${name}"
    version = "1.0.0"
    abi = 3
    [[component]]
    file = "${name}.wasm"
    [exports.astrid]
    llm = "1.0.0"
    [publish]
    "llm.v1.stream.${name}" = "opaque"
    [[interceptor]]
    event = "llm.v1.request.describe"
    action = "describe"
    [[interceptor]]
    event = "llm.v1.request.generate.${name}"
    action = "generate"
  `);
  const script = await bundleGuestSource(`
    import { defineCapsule } from 'astrid/sdk';
    import { proceed } from 'astrid/sdk/interceptor';
    import * as ipc from 'astrid/sdk/ipc';
    import * as kv from 'astrid/sdk/kv';
    const answers = ${JSON.stringify(answers)};
    const entry = { id: '${name}', request_topic: 'llm.v1.request.generate.${name}', stream_topic: 'llm.v1.stream.${name}' };
    defineCapsule({ interceptors: {
      describe: () => proceed({ providers: [entry] }),
      generate: ({ request_id }) => {
        const asked = kv.getJson('asked') ?? 0;
        kv.setJson('asked', asked + 1);
        const events = answers[Math.min(asked, answers.length - 1)];
        for (const event of events) ipc.publish('llm.v1.stream.${name}', { type: 'llm_stream_event', request_id, event });
      },
    } });
  `);
  return [manifest, script];
}
