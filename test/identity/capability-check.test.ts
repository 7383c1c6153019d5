import { test } from 'tap';
import { CapabilityCheck } from '../../supervisor/capability-check.js';
import { makeSecurityHandlers } from '../../supervisor/syscalls/security.js';

const [ALIVE, PLAIN, DEAD] = ['a', 'b', 'c'].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`);

function process(sourceId: string, allow: unknown, isRunning = true) {
  return { sourceId, isRunning, spec: { manifest: { capabilities: { allow_prompt_injection: allow } } } } as never;
}

const check = makeSecurityHandlers(
  new CapabilityCheck(() => [process(ALIVE!, true), process(PLAIN!, false), process(DEAD!, true, false)]),
).astrid_check_capsule_capability;

const ask = (request: unknown) =>
  (check.run(check.decode([Buffer.from(JSON.stringify(request))]), {} as never) as Buffer).toString();

test('a running instance that holds the capability is allowed, everything else is not', (t) => {
  const capability = 'allow_prompt_injection';
  t.equal(ask({ source_uuid: ALIVE, capability }), '{"allowed":true}');
  t.equal(ask({ source_uuid: ALIVE?.toUpperCase(), capability }), '{"allowed":true}');
  for (const source_uuid of [PLAIN, DEAD, '00000000-0000-0000-0000-000000000000', '', 'x', `${ALIVE} `, '__proto__']) {
    t.equal(ask({ source_uuid, capability }), '{"allowed":false}', source_uuid ?? '');
  }
  for (const other of ['fs_read', 'uplink', '', 'constructor', 'ALLOW_PROMPT_INJECTION']) {
    t.equal(ask({ source_uuid: ALIVE, capability: other }), '{"allowed":false}', other);
  }
  t.end();
});

test('a request that is no JSON of the right fields ends the call', (t) => {
  t.throws(() => check.decode([Buffer.from('{')]), { code: 'invalid_argument', field: 'request' });
  t.throws(() => ask({ capability: 'x' }), { code: 'invalid_argument', field: 'source_uuid' });
  t.throws(() => ask({ source_uuid: ALIVE }), { code: 'invalid_argument', field: 'capability' });
  t.end();
});
