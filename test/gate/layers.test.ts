import { test } from 'tap';
import { CAPABILITY_NAMES } from '../../abi/capabilities.js';
import { APPROVAL_MODES, type ApprovalMode } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';
import { SYSCALLS } from '../../abi/table.js';
import { parseConfig } from '../../supervisor/config.js';
import { makeApprovalLayer } from '../../supervisor/gate/approval.js';
import { makeBudgetLayer } from '../../supervisor/gate/budget.js';
import { manifestLayer } from '../../supervisor/gate/manifest-layer.js';
import { makePolicyLayer } from '../../supervisor/gate/policy.js';
import { makeTokenLayer } from '../../supervisor/gate/token.js';
import type { Verdict } from '../../supervisor/gate/types.js';
import { makeAction, makeManifest } from './kit.js';

const GUIDED = { mode: 'guided' } as const;

function codeOf(verdict: Verdict): string {
  return verdict.kind === 'deny' ? (verdict.decision.fault?.code ?? 'no fault') : verdict.kind;
}

function policyOf(toml: string, folds = false) {
  return makePolicyLayer(parseConfig(`[policy]\n${toml}`).policy, folds);
}

test('the manifest layer, for every call that needs a capability, denies without it and names the key to add', (t) => {
  const other = makeManifest(Object.fromEntries(CAPABILITY_NAMES.map((name) => [name, ['*']])));
  for (const row of SYSCALLS) {
    const bare = manifestLayer.judge(makeAction(row, { manifest: makeManifest({}) }), GUIDED);
    if (row.capability === null) {
      t.equal(bare.kind, 'allow', `${row.name} needs nothing`);
      continue;
    }
    t.equal(codeOf(bare), 'capability_missing', row.name);
    const fault = bare.kind === 'deny' ? bare.decision.fault : null;
    t.match(fault?.message, `${row.capability} = `, 'says what to add');
    t.match(fault?.message, 'Capsule.toml');
    t.equal(fault?.field, row.capability);
    const all = { ...Object.fromEntries(CAPABILITY_NAMES.map((name) => [name, ['*']])), [row.capability]: [] };
    t.equal(
      codeOf(manifestLayer.judge(makeAction(row, { manifest: makeManifest(all) }), GUIDED)),
      'capability_missing',
      'all others do not help',
    );
    t.equal(manifestLayer.judge(makeAction(row, { manifest: other }), GUIDED).kind, 'allow');
  }
  t.end();
});

test('the manifest layer, for a path that no entry covers or that nobody checked, denies', (t) => {
  for (const name of ['astrid_read_file', 'astrid_write_file', 'astrid_fs_unlink']) {
    t.equal(codeOf(manifestLayer.judge(makeAction(name, { covered: false }), GUIDED)), 'capability_missing');
    t.equal(
      codeOf(manifestLayer.judge(makeAction(name, { covered: null }), GUIDED)),
      'capability_missing',
      'unsure is no',
    );
  }
  t.equal(
    codeOf(manifestLayer.judge(makeAction('astrid_ipc_publish', { covered: false }), GUIDED)),
    'capability_missing',
  );
  t.end();
});

test('the manifest layer, when topics stand in the publish section only, counts them; false and empty do not count', (t) => {
  const publish = makeAction('astrid_ipc_publish', { manifest: makeManifest({}, { publish: ['a.v1.b'] }) });
  t.equal(manifestLayer.judge(publish, GUIDED).kind, 'allow');
  const uplink = (value: boolean | readonly string[]) =>
    codeOf(
      manifestLayer.judge(makeAction('astrid_uplink_send', { manifest: makeManifest({ uplink: value }) }), GUIDED),
    );
  t.same([uplink(true), uplink(false), uplink([])], ['allow', 'capability_missing', 'capability_missing']);
  t.end();
});

test('the policy layer, with each kind of rule, blocks what it names and nothing else', (t) => {
  const layer = policyOf(`deny_paths = ["cwd://secret/**", "**/.env"]
    deny_capsules = ["evil"]
    deny_actions = ["fs_unlink", "astrid_kv_set"]
    argument_bytes_max = 100`);
  const judge = (name: string, more = {}) => codeOf(layer.judge(makeAction(name, more), GUIDED));
  t.equal(judge('astrid_read_file'), 'pass');
  t.equal(judge('astrid_read_file', { resource: 'cwd://secret/a' }), 'policy_denied');
  t.equal(judge('astrid_read_file', { resource: 'cwd://secret' }), 'policy_denied', 'the directory itself');
  t.equal(judge('astrid_read_file', { resource: 'cwd://secrets' }), 'pass');
  t.equal(judge('astrid_read_file', { resource: 'home://a/b/.env' }), 'policy_denied');
  t.equal(judge('astrid_kv_get', { capsule: 'evil' }), 'policy_denied');
  t.equal(judge('astrid_fs_unlink'), 'policy_denied');
  t.equal(judge('astrid_kv_set'), 'policy_denied', 'with the prefix too');
  t.equal(judge('astrid_write_file', { argBytes: 100 }), 'pass');
  t.equal(judge('astrid_write_file', { argBytes: 101 }), 'policy_denied');
  t.equal(judge('astrid_kv_get', { resource: 'kv:../.env' }), 'pass', 'a key is no path');
  t.end();
});

test('the policy layer, for other spellings of a blocked path, blocks them too', (t) => {
  const layer = policyOf('deny_paths = ["cwd://secret/**", "tmp://t/**", "home://.local/tmp/h/**"]');
  const spellings = [
    'cwd://./secret/a',
    'cwd://x/../secret/a',
    'cwd:///secret/a',
    'cwd://a//b',
    'cwd://secret/a/.',
    'cwd://x/..',
    'cwd://a\\b',
    'cwd://a\0b',
    'home://.local/tmp/t/x', // tmp lies inside the home tree: two names for one file
    'tmp://h/x',
    `cwd://${'a'.repeat(2000)}`, // may have been cut on its way: what it ends in is unknown
  ];
  for (const resource of spellings) {
    t.equal(
      codeOf(layer.judge(makeAction('astrid_read_file', { resource }), GUIDED)),
      'policy_denied',
      JSON.stringify(resource).slice(0, 60),
    );
  }
  for (const resource of ['cwd://', 'cwd://a', 'home://.local/tmp/x', 'tmp://', 'cwd://...', 'cwd://a\\\\b\\u{200b}']) {
    t.equal(codeOf(layer.judge(makeAction('astrid_read_file', { resource }), GUIDED)), 'pass', resource);
  }
  t.equal(
    codeOf(
      policyOf('deny_paths = ["cwd://Über/**"]', true).judge(
        makeAction('astrid_read_file', { resource: 'cwd://u\u0308BER/x' }),
        GUIDED,
      ),
    ),
    'policy_denied',
    'where names fold',
  );
  t.equal(
    codeOf(
      policyOf('deny_paths = ["cwd://S"]', false).judge(
        makeAction('astrid_read_file', { resource: 'cwd://s' }),
        GUIDED,
      ),
    ),
    'pass',
    'where they do not',
  );
  t.end();
});

test('the policy layer, for a blocked host, denies requests to it whatever the manifest says, and nothing else', (t) => {
  const layer = policyOf('deny_hosts = ["blocked.example", "*.ads.example", "10.0.0.1"]');
  const judge = (name: string, resource: string) => codeOf(layer.judge(makeAction(name, { resource }), GUIDED));
  for (const call of ['astrid_http_request', 'astrid_http_stream_start']) {
    for (const host of [
      'blocked.example',
      'a.blocked.example:8443',
      'x.ads.example',
      'blocked.example.',
      '10.0.0.1:80',
    ]) {
      t.equal(judge(call, `GET https://${host}/a?…`), 'policy_denied', `${call} ${host}`);
    }
    t.equal(judge(call, 'POST http://ads.example/blocked.example'), 'pass', call);
    t.equal(judge(call, 'GET'), 'policy_denied', 'what cannot be checked');
  }
  t.equal(judge('astrid_kv_get', 'kv:https://blocked.example/'), 'pass', 'a key is no request');
  const verdict = layer.judge(makeAction('astrid_http_request', { resource: 'GET http://x.ads.example/' }), GUIDED);
  if (verdict.kind !== 'deny') return t.fail('not denied');
  t.equal(verdict.decision.fault?.field, 'policy.deny_hosts');
  t.match(verdict.decision.authorization.reason, '*.ads.example');
  t.notMatch(verdict.decision.fault?.message, 'ads');
  t.end();
});

test('a block by policy, tells the log which rule and the guest only which kind', (t) => {
  const verdict = policyOf('deny_paths = ["cwd://merger-with-acme/**"]').judge(
    makeAction('astrid_read_file', { resource: 'cwd://merger-with-acme/x' }),
    GUIDED,
  );
  if (verdict.kind !== 'deny') return t.fail('not denied');
  t.match(verdict.decision.authorization.reason, 'merger-with-acme');
  t.notMatch(verdict.decision.fault?.message, 'merger');
  t.match(verdict.decision.authorization, { layer: 'policy', verdict: 'deny', ref: null });
  t.end();
});

test('a token or a budget that the configuration asks for, stops the boot instead of being ignored', (t) => {
  const faultOf = (work: () => unknown) => {
    try {
      work();
      return 'none';
    } catch (thrown) {
      return thrown instanceof Fault
        ? `${thrown.code} ${thrown.field} ${/not served yet/.test(thrown.message)}`
        : String(thrown);
    }
  };
  t.equal(
    faultOf(() => makeTokenLayer(parseConfig('[tokens]\nrequired = true').tokens)),
    'bad_config tokens.required true',
  );
  t.equal(
    faultOf(() => makeBudgetLayer(parseConfig('[budget]\nusd = 5').budget)),
    'bad_config budget true',
  );
  t.equal(
    faultOf(() => makeBudgetLayer(parseConfig('[budget]').budget)),
    'bad_config budget true',
  );
  const none = parseConfig('[tokens]\nrequired = false');
  t.equal(makeTokenLayer(none.tokens).judge(makeAction('astrid_write_file'), GUIDED).kind, 'pass');
  t.equal(makeBudgetLayer(none.budget).judge(makeAction('astrid_write_file'), GUIDED).kind, 'pass');
  t.end();
});

/** What each mode answers, in the order safe, guided, autonomous, yolo: p(ass), a(llow), ? asks, 1 asks for once only. */
const TABLE: [string, string, string, string][] = [
  ['read in cwd', 'astrid_read_file', 'cwd://a', '1ppp'],
  ['stat in home', 'astrid_fs_stat', 'home://a', '1ppp'],
  ['read in tmp', 'astrid_read_file', 'tmp://a', 'pppp'],
  ['write in cwd', 'astrid_write_file', 'cwd://a', '1?aa'],
  ['delete in cwd', 'astrid_fs_unlink', 'cwd://a', '1?aa'],
  ['mkdir in tmp', 'astrid_fs_mkdir', 'tmp://a', '1?aa'],
  ['write in home', 'astrid_write_file', 'home://a', '1??a'],
  ['write elsewhere', 'astrid_write_file', 'cwdx://a', '1??a'],
  ['command that calls itself a path', 'astrid_spawn_host', 'cwd://a', '1??a'],
  ['kv write', 'astrid_kv_set', 'kv:a', 'pppp'],
  ['publish', 'astrid_ipc_publish', 'a.v1.b', 'pppp'],
  ['asking a person', 'astrid_request_approval', 'x', 'pppp'],
  ['asking for a value', 'astrid_elicit', 'x', 'pppp'],
];
const LETTERS = { pass: 'p', allow: 'a', deny: 'd', ask: '?' } as const;

test('the approval layer, in each mode and for each kind of action, asks what the table says', (t) => {
  const layer = makeApprovalLayer({ findAllowance: () => null });
  for (const [what, call, resource, expected] of TABLE) {
    const letters = APPROVAL_MODES.map((mode) => {
      const verdict = layer.judge(makeAction(call, { resource }), { mode });
      return verdict.kind === 'ask' && verdict.onceOnly ? '1' : LETTERS[verdict.kind];
    });
    t.equal(letters.join(''), expected, what);
  }
  t.end();
});

test('the approval layer, for every call of audit class before that does not itself ask, asks in guided and safe', (t) => {
  const layer = makeApprovalLayer({ findAllowance: () => null });
  for (const row of SYSCALLS.filter(({ audit }) => audit === 'before')) {
    const asks = (mode: ApprovalMode) => layer.judge(makeAction(row), { mode }).kind;
    const expected = ['astrid_request_approval', 'astrid_elicit'].includes(row.name) ? 'pass' : 'ask';
    t.same([asks('guided'), asks('safe')], [expected, expected], row.name);
  }
  t.end();
});

test('the approval layer, with an allowance for the session, uses it in guided and autonomous, never in safe', (t) => {
  const layer = makeApprovalLayer({ findAllowance: () => 'the answer' });
  const action = makeAction('astrid_write_file', { resource: 'home://a' });
  for (const mode of ['guided', 'autonomous'] as const) {
    const verdict = layer.judge(action, { mode });
    t.match(verdict, { kind: 'allow', decision: { approvalId: 'the answer' } }, mode);
  }
  t.equal(layer.judge(action, { mode: 'safe' }).kind, 'ask');
  t.throws(
    () => layer.judge(action, { mode: 'reckless' as ApprovalMode }),
    'a mode that does not exist says nothing, and throws',
  );
  t.end();
});
