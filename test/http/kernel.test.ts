import { type Test, test } from 'tap';
import type { ControlClient } from '../../cli/client.js';
import { makeGuest } from '../kit/guests.js';
import { openSession, waitForLog } from '../kit/log-watch.js';
import { startSupervisor } from '../kit/real-supervisor.js';
import { callAndLog, HTTP_CALLS, quoteData, TELL } from './guest-text.js';
import { allClosed, serve } from './kit.js';

const hears = (net: string) =>
  `\n[capabilities]\nnet = [${net}]\n\n[[interceptor]]\nevent = "user.v1.prompt"\naction = "go"\n`;

/** A capsule that makes one call with one text and logs the answer. */
function asker(name: string, net: string, request: object, call: keyof typeof HTTP_CALLS = 'astrid_http_request') {
  const text = JSON.stringify(request);
  return makeGuest({
    name,
    manifest: net === '' ? hears('').replace('net = []', '') : hears(net),
    calls: { [call]: HTTP_CALLS[call] },
    data: { 1024: quoteData(text) },
    more: TELL,
    body: `${callAndLog(call, 1024, text)} (i32.const 0)`,
  });
}

interface Entry {
  readonly capsule: string;
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
}

async function auditOf(client: ControlClient, capsule: string): Promise<string[]> {
  const rows: string[] = [];
  for await (const event of await client.stream('audit.tail', { lines: 200 })) {
    const entry = event as Entry;
    if (entry.capsule === capsule && entry.action.startsWith('http_')) {
      rows.push(`${entry.action} ${entry.resource} ${entry.outcome}`);
    }
  }
  return rows;
}

async function start(t: Test, options: Parameters<typeof startSupervisor>[0]) {
  const supervisor = await startSupervisor(options);
  t.teardown(supervisor.end);
  const client = await supervisor.connect();
  t.teardown(() => client.close());
  return { supervisor, client };
}

test('capsules request what manifest and operator allow, and the log says what and never with what', async (t) => {
  const server = await serve(t, (request, response) => {
    if (request.url === '/away') response.writeHead(302, { location: 'http://169.254.169.254/latest?k=SECRET' });
    response.end('hello');
  });
  const base = `http://localhost:${server.port}`;
  const secret = { url: `${base}/a?key=SECRET`, headers: { authorization: 'SECRET' }, body: 'SECRET' };
  const { supervisor, client } = await start(t, {
    config: `[net]\nlocal = ["localhost:${server.port}"]\n`,
    builtins: {
      good: await asker('good', '"localhost"', secret),
      bare: await asker('bare', '', { url: base }),
      narrow: await asker('narrow', '"example.com"', { url: base }),
      inside: await asker('inside', '"*"', { url: `http://127.0.0.1:${server.port}/` }),
      led: await asker('led', '"*"', { url: `${base}/away` }),
      strayed: await asker('strayed', '"localhost"', { url: `${base}/away` }),
    },
  });
  const { say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
  await say('go');
  const logged = (capsule: string, pattern: RegExp) => t.resolves(waitForLog(client, capsule, pattern), capsule);
  await logged('good', /"status":200.*"body":"hello"/);
  await logged('bare', /capability_missing/);
  await logged('narrow', /capability_missing/);
  await logged('inside', /policy_denied/);
  await logged('led', /policy_denied/);
  await logged('strayed', /capability_missing/);
  t.same(await auditOf(client, 'good'), [`http_request GET ${base}/a?… accepted`]);
  t.same(await auditOf(client, 'led'), [
    `http_request GET ${base}/away accepted`,
    'http_request GET http://169.254.169.254/latest?… accepted',
    `http_request GET ${base}/away failed`,
  ]);
  t.same(await auditOf(client, 'strayed'), [
    `http_request GET ${base}/away accepted`,
    'http_request GET http://169.254.169.254/latest?… denied',
    `http_request GET ${base}/away failed`,
  ]);
  t.notMatch(supervisor.log.join('\n'), /SECRET/);
});

test('a host that the operator blocked, is not asked for, at the first request or behind a redirect, whatever the manifest says', async (t) => {
  let blocked = 0;
  const server = await serve(t, (request, response) => {
    if (request.headers.host?.startsWith('127.')) blocked += 1;
    const next: Record<string, string> = {
      '/away': `http://127.0.0.1:${server.port}/`,
      '/twice': `http://localhost:${server.port}/away`,
      '/name': 'http://API.Blocked.example.:81/?k=SECRET',
    };
    const location = next[request.url ?? ''];
    response.writeHead(location === undefined ? 200 : 302, location === undefined ? {} : { location }).end('hello');
  });
  const base = `http://localhost:${server.port}`;
  const { supervisor, client } = await start(t, {
    config: `[policy]\ndeny_hosts = ["blocked.example", "127.0.0.1"]\n
[net]\nlocal = ["localhost:${server.port}", "127.0.0.1:${server.port}"]\n`,
    builtins: {
      // A name that does not exist: had a resolver been asked, the answer would be another one.
      named: await asker('named', '"blocked.example"', { url: 'https://Blocked.example./' }),
      streaming: await asker('streaming', '"*"', { url: 'http://a.blocked.example/' }, 'astrid_http_stream_start'),
      spelt: await asker('spelt', '"*"', { url: `http://2130706433:${server.port}/` }),
      mapped: await asker('mapped', '"*"', { url: `http://[::ffff:7f00:1]:${server.port}/` }),
      led: await asker('led', '"*"', { url: `${base}/away` }),
      twice: await asker('twice', '"*"', { url: `${base}/twice` }),
      leadname: await asker('leadname', '"*"', { url: `${base}/name` }),
      other: await asker('other', '"*"', { url: base }),
    },
  });
  const { say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
  await say('go');
  for (const name of ['named', 'streaming', 'spelt', 'mapped', 'led', 'twice', 'leadname']) {
    const { message } = await waitForLog(client, name, /"|_/);
    t.match(message, /policy_denied.*policy\.deny_hosts/, name);
  }
  await t.resolves(waitForLog(client, 'other', /"status":200/));
  t.equal(blocked, 0, 'nothing was sent there');
  t.same(await auditOf(client, 'named'), ['http_request GET https://blocked.example/ denied']);
  t.same(await auditOf(client, 'leadname'), [
    `http_request GET ${base}/name accepted`,
    'http_request GET http://api.blocked.example:81/?… denied',
    `http_request GET ${base}/name failed`,
  ]);
});

test('a redirect to another place, where a person would be asked, is handed back to the capsule', async (t) => {
  let elsewhere = 0;
  const server = await serve(t, (request, response) => {
    if (request.url === '/there') elsewhere += 1;
    response.writeHead(302, { location: `http://127.0.0.1:${server.port}/there` }).end();
  });
  const { supervisor, client } = await start(t, {
    config: `[net]\nlocal = ["localhost:${server.port}", "127.0.0.1:${server.port}"]\n`,
    builtins: { asking: await asker('asking', '"*"', { url: `http://localhost:${server.port}/here?key=SECRET` }) },
  });
  const { id, say } = await openSession(client, supervisor.workspace, { mode: 'guided' });
  const approvals = await client.stream('approvals.follow', { session: id });
  await say('go');
  for await (const event of approvals) {
    t.notMatch(JSON.stringify(event), /SECRET/);
    const { id: question, resource } = event as { id: string; resource: string };
    t.equal(resource, `GET http://localhost:${server.port}/here?…`);
    await client.request('approvals.answer', { id: question, decision: 'once' });
    break;
  }
  approvals.cancel();
  await t.resolves(waitForLog(client, 'asking', /"status":302.*"location"/));
  t.equal(elsewhere, 0);
});

test('a capsule that dies with streams open, leaves no connection; the next instance begins anew', async (t) => {
  const server = await serve(t, (_request, response) => response.write('x'));
  const text = JSON.stringify({ url: `http://localhost:${server.port}/` });
  const start4 = callAndLog('astrid_http_stream_start', 1024, text).repeat(5);
  const leaky = await makeGuest({
    name: 'leaky',
    restart: 'never',
    manifest: hears('"localhost"'),
    calls: HTTP_CALLS,
    data: { 1024: quoteData(text), 2048: '4', 2056: '1x' },
    more: TELL,
    body: `${start4} ${callAndLog('astrid_http_stream_read', 2048, '4')} ${callAndLog('astrid_http_stream_read', 2056, '1x')}
      ${callAndLog('astrid_http_stream_close', 2056, '1x')} (unreachable)`,
  });
  const { supervisor, client } = await start(t, {
    config: `[net]\nlocal = ["localhost:${server.port}"]\n`,
    builtins: { leaky },
  });
  const { say } = await openSession(client, supervisor.workspace, { mode: 'yolo' });
  await say('go');
  await t.resolves(waitForLog(client, 'leaky', /"handle":"4"/));
  await t.resolves(waitForLog(client, 'leaky', /quota_exceeded.*4\/4/), 'the fifth');
  await t.resolves(waitForLog(client, 'leaky', /invalid_argument.*decimal/), 'a handle that is no number');
  await t.resolves(waitForLog(client, 'leaky', /^ended/));
  t.ok(server.hits() >= 4);
  await allClosed(server);
});
