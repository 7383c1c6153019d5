import { test } from 'tap';
import { makeGuest } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { callAndSay, MORE, watText } from './guest-parts.js';

const one = { params: 1, result: true } as const;
const three = { params: 3, result: true } as const;

/** Addresses in the guests' memory. */
const ANSWER = 2048;
const CREATE = 3000;
const LINK = 3200;
const RESOLVE = 3500;
const SAID = 3700;

const create = '{"display_name":"Ann"}';
const [linkHead, linkTail] = ['{"platform":" CHAT","platform_user_id":"u-1","method":"code","astrid_user_id":"', '"}'];
const resolve = '{"platform":"chat","platform_user_id":"u-1"}';
/** Where the UUID starts in `\0{"ok":true,"user_id":"…"}`. */
const UUID_AT = 1 + '{"ok":true,"user_id":"'.length;

/** Makes a person, links an account, and lets that account speak, and a stranger's. */
const BRIDGE = `
  ${callAndSay('astrid_identity_create_user', CREATE, create.length, ANSWER)}
  (call $copy (i32.const ${ANSWER + UUID_AT}) (i32.const ${LINK + linkHead.length}) (i32.const 36))
  ${callAndSay('astrid_identity_link', LINK, linkHead.length + 36 + linkTail.length, ANSWER)}
  ${callAndSay('astrid_identity_resolve', RESOLVE, resolve.length, ANSWER)}
  (drop (call $keep (call $astrid_uplink_register (call $block (i32.const 48) (i32.const 3))
    (call $block (i32.const 56) (i32.const 4)) (call $block (i32.const 56) (i32.const 4))) (i32.const ${ANSWER})))
  ${[64, 72]
    .map(
      (user) => `(drop (call $astrid_uplink_send (call $block (i32.const ${ANSWER + 1}) (i32.const 36))
        (call $block (i32.const ${user}) (i32.const 3)) (call $block (i32.const ${SAID}) (i32.const 5))))`,
    )
    .join('\n')}
  (i32.const 0)`;

const ASK = 4000;
const askHead = '{"capability":"allow_prompt_injection","source_uuid":"';
/** Where the UUID starts in `\0{"principal":"ann","source_id":"…"`. */
const SOURCE_AT = 1 + '{"principal":"ann","source_id":"'.length;

test('a person linked by one capsule speaks to another as their own principal; a stranger starts no turn', async (t) => {
  const bridge = await makeGuest({
    name: 'bridge',
    manifest: `
[capabilities]
identity = ["admin"]
allow_prompt_injection = true

[[uplink]]
name = "bot"
platform = "chat"
profile = "chat"

[[interceptor]]
event = "cli.v1.command.execute"
action = "go"
`,
    calls: {
      astrid_identity_create_user: one,
      astrid_identity_link: one,
      astrid_identity_resolve: one,
      astrid_uplink_register: three,
      astrid_uplink_send: three,
    },
    more: MORE,
    data: {
      48: 'bot',
      56: 'chat',
      64: 'u-1',
      72: 'eve',
      [CREATE]: watText(create),
      [LINK]: watText(linkHead),
      [LINK + linkHead.length + 36]: watText(linkTail),
      [RESOLVE]: watText(resolve),
      [SAID]: 'hello',
    },
    body: BRIDGE,
  });
  const hears = (name: string, event: string) =>
    makeGuest({
      name,
      manifest: `\n[[interceptor]]\nevent = "${event}"\naction = "go"\n`,
      calls: { astrid_get_caller: { params: 0, result: true }, astrid_check_capsule_capability: one },
      more: MORE,
      data: { [ASK]: watText(askHead), [ASK + askHead.length + 36]: watText('"}') },
      body: `(local.set $i (call $keep (call $astrid_get_caller) (i32.const ${ANSWER})))
        (call $copy (i32.const ${ANSWER + SOURCE_AT}) (i32.const ${ASK + askHead.length}) (i32.const 36))
        (call $say (i32.const ${ANSWER}) (local.get $i))
        ${callAndSay('astrid_check_capsule_capability', ASK, askHead.length + 36 + 2, ANSWER)}
        (i32.const 0)`,
    });
  const supervisor = await startSupervisor({
    builtins: {
      bridge,
      agent: await hears('agent', 'user.v1.prompt'),
      desk: await hears('desk', 'astrid.v1.uplink.unlinked'),
    },
  });
  t.teardown(supervisor.end);
  const control = await supervisor.connect();
  t.teardown(() => control.close());
  const { id } = await openSession(control, supervisor.workspace, { mode: 'yolo' });
  const command = { type: 'user_input', text: '/pair', session_id: id };
  await control.request('bus.publish', { session: id, topic: 'cli.v1.command.execute', payload: command });
  const linked = await waitForLog(control, 'bridge', /linked_at/);
  t.match(linked.message, /"ok":true.*"platform":"chat","platform_user_id":"u-1".*"linked_at":"\d{4}-\d\d-\d\dT/);
  await waitForLog(control, 'bridge', /"found":true,"user_id":"[0-9a-f-]{36}","display_name":"Ann"/);
  await waitForLog(control, 'agent', /"principal":"ann"/);
  await waitForLog(control, 'agent', /"allowed":true/);
  await waitForLog(control, 'desk', /"principal":"default"/);
});

test('identity calls above the manifest’s level, told inside the answer, and a broken request ends the call', async (t) => {
  const low = await makeGuest({
    name: 'low',
    manifest: '\n[capabilities]\nidentity = ["resolve"]\n\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n',
    calls: { astrid_identity_create_user: one, astrid_identity_resolve: one },
    more: MORE,
    data: { [CREATE]: watText(create), [RESOLVE]: watText(resolve) },
    body: `${callAndSay('astrid_identity_create_user', CREATE, create.length, ANSWER)}
      ${callAndSay('astrid_identity_resolve', RESOLVE, resolve.length, ANSWER)}
      ${callAndSay('astrid_identity_resolve', RESOLVE, resolve.length - 1, ANSWER)}
      (i32.const 0)`,
  });
  const supervisor = await startSupervisor({ builtins: { low } });
  t.teardown(supervisor.end);
  const control = await supervisor.connect();
  t.teardown(() => control.close());
  const { say } = await openSession(control, supervisor.workspace);
  await say('go');
  await waitForLog(control, 'low', /\{"ok":false,"error":"identity in .*","code":"capability_missing"\}/);
  await waitForLog(control, 'low', /\{"found":false\}/);
  await waitForLog(control, 'low', /"code":"invalid_argument","message":"request: /);
});
